"""Which files of a tree form a release, and what in it no release may contain."""

from dataclasses import dataclass

from engine.artifacts.deploy_toml import FILE, DeployToml
from engine.artifacts.manifest import WHEELS
from engine.artifacts.paths import clashes, why_unsafe
from engine.artifacts.patterns import matches
from engine.artifacts.problems import Problem
from engine.artifacts.source import Kind, SourceTree, resolve

VERSION = "VERSION"
POINTER_BYTES = 1024
"""What a pointer of Git LFS has at most (its specification, version 1)."""
_LFS = b"version https://git-lfs.github.com/spec/"

# What a release directory on a server has besides the manifest's files, and where wheels are put.
RESERVED = (".release", ".envs", ".config", ".checked", WHEELS)


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """A file of a release: where its content is in the tree, and whether it may be executed."""

    path: str
    source: str
    executable: bool


def always(deploy: DeployToml) -> frozenset[str]:
    """Files that belong to every release whatever `include` and `exclude` say: those that deploy.toml needs."""
    return frozenset({FILE, VERSION, *deploy.named_files()})


def covered(path: str, deploy: DeployToml) -> bool:
    """Whether `path` belongs to a release of this project."""
    return path in always(deploy) or (matches(path, deploy.include) and not matches(path, deploy.exclude))


def select(tree: SourceTree, deploy: DeployToml) -> tuple[list[SelectedFile], list[Problem]]:
    """The files of a release sorted by path, and every reason why there cannot be one."""
    named = always(deploy)
    paths = [path for path in sorted(tree.entries) if path in named or matches(path, deploy.include)]
    problems = [
        Problem(f"include[{index}]", f"{pattern!r} matches no file", "Correct it, or remove it.", "missing_file")
        for index, pattern in enumerate(deploy.include)
        if not any(matches(path, [pattern]) for path in paths)
    ]
    files: list[SelectedFile] = []
    for path in paths:
        if path not in named and matches(path, deploy.exclude):
            continue
        found = _selected(tree, path)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            files.append(found)
    return files, problems + _clashing([file.path for file in files])


def pointer_problem(path: str, content: bytes) -> Problem | None:
    """What keeps a file out that only says where its content is."""
    if not content.startswith(_LFS):
        return None
    hint = "Its content is not in the repository: add it without Git LFS, or exclude it."
    return Problem(path, "is only a pointer to a Git LFS object", hint, "special_file")


def _selected(tree: SourceTree, path: str) -> SelectedFile | Problem:
    unsafe = why_unsafe(path)
    if unsafe:
        shown = path.encode(errors="backslashreplace").decode()
        return Problem(ascii(shown), unsafe, "Rename it, or exclude it.", "path_escapes")
    if path.partition("/")[0] in RESERVED:
        wrong = f"{path.partition('/')[0]!r} is a name that a release directory needs for itself"
        return Problem(path, wrong, "Rename it, or exclude it.", "reserved_path")
    entry = tree.entries[path]
    if entry.kind in {Kind.SUBMODULE, Kind.SPECIAL}:
        hint = "A release holds ordinary files only: copy what is needed into the tree, or exclude it."
        return Problem(path, f"is {entry.kind.value}", hint, "special_file")
    target = resolve(tree, path)
    if isinstance(target, Problem):
        return target
    return SelectedFile(path, target, tree.entries[target].executable)


def _clashing(paths: list[str]) -> list[Problem]:
    hint = "They are one file on some systems, and one can pass for the other: rename or exclude one."
    return [
        Problem(" and ".join(group), "differ only in case or Unicode form", hint, "path_clash")
        for group in clashes(paths)
    ]
