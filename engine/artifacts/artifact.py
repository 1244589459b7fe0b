"""Building an artifact: one uncompressed tar with a manifest in front, the same bytes for the same tree.

Who built it, when, and from which commit is not inside: that belongs to the release's record.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.artifacts import tarstream
from engine.artifacts.check import NO_DEPLOY_TOML, tree_problems
from engine.artifacts.contents import sync
from engine.artifacts.deploy_toml import FILE, DeployToml, parse_deploy_toml
from engine.artifacts.errors import DirtyTree, ReleaseTooLarge, UnknownRef, UnknownSource, WheelsUnavailable, refusal
from engine.artifacts.git import Repository, repository_at
from engine.artifacts.lock import Lock, read_lock
from engine.artifacts.manifest import EXECUTABLE, PLAIN, Manifest, ManifestFile, wheel_directory
from engine.artifacts.problems import Problem
from engine.artifacts.project_locks import as_requirements
from engine.artifacts.reader import MANIFEST, MANIFEST_MODE, ArtifactReader, open_artifact, release_id
from engine.artifacts.selection import VERSION, SelectedFile, covered, pointer_problem
from engine.artifacts.source import LARGEST, DirectoryTree, Overlaid, SourceTree
from engine.artifacts.version import EXPLAINED, MAX_VERSION, commit_version, read_version
from engine.artifacts.wheels import WheelSource, mismatch

__all__ = ["Artifact", "ArtifactReader", "build_artifact", "open_artifact", "release_id"]

_CHUNK = 1024 * 1024
_SHOWN = 20


@dataclass(frozen=True)
class Artifact:
    """A built artifact. `digest` is the manifest's, `sha256` and `size` (bytes) are the file's; `commit` is None for
    a directory without git; `lock_digests` has the sha256 of each lock by its path."""

    path: Path
    digest: str
    sha256: str
    size: int
    manifest: Manifest
    name: str
    version: str
    commit: str | None
    release_id: str
    lock_digests: dict[str, str]
    deploy: DeployToml


@dataclass(frozen=True)
class _Source:
    tree: SourceTree
    commit: str | None
    dirty: tuple[str, ...]


def build_artifact(
    source: Path, ref: str | None, wheel_source: WheelSource, out_dir: Path, *, by_commit: bool = False
) -> Artifact:
    """Build the artifact of a commit of the repository at `source`, or without `ref` of the directory as it lies there.

    In a repository that directory must equal HEAD as far as the release goes. With `by_commit` its version is made from
    VERSION and the commit. The file `<name>-<release id>.tar` appears in `out_dir` whole or not at all. Raises the
    refusals of `errors`, each with every mistake of its kind.
    """
    with _opened(source, ref) as opened:
        if FILE in opened.dirty:
            raise _dirty([FILE])
        tree = opened.tree
        if FILE not in tree.entries:
            raise refusal([NO_DEPLOY_TOML])
        deploy = parse_deploy_toml(tree.read(FILE))
        if dirty := [path for path in opened.dirty if covered(path, deploy)]:
            raise _dirty(dirty)
        files, problems = tree_problems(tree, deploy)
        if problems:
            raise refusal(problems)
        if by_commit:
            tree = _named_by_commit(opened, source, files)
        tree = _with_requirements(tree, deploy, files)
        locks = {path: _lock(tree, files, path) for path in deploy.locks()}
        wheels = {path: _wheels(lock, deploy, wheel_source) for path, lock in locks.items()}
        return _written(tree, opened.commit, deploy, files, locks, wheels, out_dir)


@contextmanager
def _opened(source: Path, ref: str | None) -> Iterator[_Source]:
    if not source.is_dir():
        raise UnknownSource(f"{source} is not a directory.", hint="Name the directory that has the deploy.toml.")
    repository = repository_at(source)
    if repository is None:
        if ref is not None:
            raise UnknownRef(f"{source} is not a git repository, so it has no {ref!r}.", hint="Build without a ref.")
        yield _Source(DirectoryTree(source), None, ())
        return
    if ref is None and repository.bare:
        raise UnknownRef(f"{source} is a bare repository without a working tree.", hint="Name a branch or tag.")
    with _at(repository, ref) as opened:
        yield opened


@contextmanager
def _at(repository: Repository, ref: str | None) -> Iterator[_Source]:
    commit = repository.commit(ref or "HEAD")
    dirty = () if ref else repository.changed()
    with repository.tree(commit) as tree:
        yield _Source(tree, commit, dirty)


def _dirty(paths: list[str]) -> DirtyTree:
    shown = [path.encode(errors="backslashreplace").decode() for path in paths[:_SHOWN]]
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    told = [Problem(path, "differs from the commit", "Commit it, or put it back.", "dirty_tree") for path in shown]
    return DirtyTree(
        f"The working tree differs from its commit: {', '.join(shown)}{more}.",
        hint="Commit or put back these files, or name a ref to build what is committed.",
        problems=told,
    )


def _named_by_commit(opened: _Source, where: Path, files: list[SelectedFile]) -> SourceTree:
    """The tree with a VERSION that its commit has part in."""
    if opened.commit is None:
        raise UnknownRef(f"{where} is not a git repository: no commit names a version.", hint="Raise VERSION instead.")
    path = next(file.source for file in files if file.path == VERSION)
    version = commit_version((read_version(opened.tree.read(path)) or "").strip(), opened.commit)
    if len(version) > MAX_VERSION:
        raise refusal([Problem(VERSION, f"leaves no room for a commit: {version}", "Shorten it.", "missing_version")])
    return Overlaid(opened.tree, path, f"{version}\n".encode())


def _with_requirements(tree: SourceTree, deploy: DeployToml, files: list[SelectedFile]) -> SourceTree:
    """The tree with every lock of a project's tool as servers install it."""
    for path in deploy.locks():
        source = next(file.source for file in files if file.path == path)
        content = tree.read(source)
        pinned, _ = as_requirements(path, content, deploy.python, deploy.architecture)
        tree = tree if pinned is content else Overlaid(tree, source, pinned)
    return tree


def _lock(tree: SourceTree, files: list[SelectedFile], path: str) -> Lock:
    source = next(file.source for file in files if file.path == path)
    return read_lock(path, tree.read(source))[0]


def _wheels(lock: Lock, deploy: DeployToml, wheel_source: WheelSource) -> list[Path]:
    wheels = wheel_source.wheels(lock, deploy.python, deploy.architecture)
    wrong = mismatch(wheels, lock.needed(deploy.python, deploy.architecture))
    if wrong is not None:
        raise WheelsUnavailable(f"The wheels of {lock.path} do not fit it: {wrong}.", hint="Fetch them again.")
    return wheels


def _written(
    tree: SourceTree,
    commit: str | None,
    deploy: DeployToml,
    files: list[SelectedFile],
    locks: dict[str, Lock],
    wheels: dict[str, list[Path]],
    out_dir: Path,
) -> Artifact:
    version = _version(tree, files)
    origins: dict[str, SelectedFile | Path] = {file.path: file for file in files}
    for lock, paths in wheels.items():
        origins |= {f"{wheel_directory(lock)}/{path.name}": path for path in paths}
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out_dir) as body:
        # the manifest stands in front, but its hashes are known only when every file has been read
        manifest = Manifest([_appended(body, tree, path, origins[path]) for path in sorted(origins)])
        body.write(tarstream.END)
        identifier = release_id(version, manifest.digest)
        path = out_dir / f"{deploy.name}-{identifier}.tar"
        sha256, size = _assembled(path, manifest, body)
    return Artifact(
        path=path,
        digest=manifest.digest,
        sha256=sha256,
        size=size,
        manifest=manifest,
        name=deploy.name,
        version=version,
        commit=commit,
        release_id=identifier,
        lock_digests={lock.path: lock.digest for lock in locks.values()},
        deploy=deploy,
    )


def _version(tree: SourceTree, files: list[SelectedFile]) -> str:
    source = next(file.source for file in files if file.path == VERSION)
    version = read_version(tree.read(source))
    if version is None:  # it was there a moment ago: somebody is editing the directory
        raise refusal([Problem(VERSION, "changed while the release was built", EXPLAINED, "missing_version")])
    return version


def _appended(body: IO[bytes], tree: SourceTree, path: str, origin: SelectedFile | Path) -> ManifestFile:
    if isinstance(origin, Path):
        content, mode = origin.read_bytes(), PLAIN
    else:
        content, mode = tree.read(origin.source), EXECUTABLE if origin.executable else PLAIN
        if problem := pointer_problem(path, content):
            raise refusal([problem])
    file = ManifestFile(path, mode, hashlib.sha256(content).hexdigest(), len(content))
    body.write(tarstream.header(path, mode, file.size))
    body.write(content)
    body.write(tarstream.padding(file.size))
    if body.tell() > LARGEST:
        raise ReleaseTooLarge(path, LARGEST)
    return file


def _assembled(path: Path, manifest: Manifest, body: IO[bytes]) -> tuple[str, int]:
    content = manifest.to_json()
    digest, size = hashlib.sha256(), 0
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".building-", delete=False) as file:
        try:
            body.seek(0)
            front = tarstream.header(MANIFEST, MANIFEST_MODE, len(content)) + content + tarstream.padding(len(content))
            for chunk in _chunks(front, body):
                digest.update(chunk)
                size += file.write(chunk)
            file.flush()
            os.fchmod(file.fileno(), 0o640)
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    sync(path.parent)
    return digest.hexdigest(), size


def _chunks(front: bytes, body: IO[bytes]) -> Iterator[bytes]:
    yield front
    while chunk := body.read(_CHUNK):
        yield chunk
