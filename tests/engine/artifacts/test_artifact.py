"""Building artifacts: the same tree gives the same bytes, and every refusal says why."""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts import artifact as building
from engine.artifacts import errors
from engine.artifacts.artifact import Artifact, build_artifact, open_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.engine.artifacts.projects import DEPLOY_TOML, UNIT, commit_all, git, lock_line, project, wheel, write


def build(source: Path, ref: str | None = None, out: Path | None = None) -> Artifact:
    return build_artifact(source, ref, DirectoryWheels(source.parent / "wheels"), out or source.parent / "artifacts")


def test_a_release_holds_what_deploy_toml_names_and_includes(tmp_path: Path) -> None:
    leaf = wheel(tmp_path / "wheels", "leaf")
    source = project(tmp_path / "p", {"requirements.txt": lock_line(leaf), "tea/tool": "#!/bin/sh\n"})
    (source / "tea/tool").chmod(0o700)
    artifact = build(source)
    modes = {file.path: oct(file.mode) for file in artifact.manifest}
    assert modes == {
        "VERSION": "0o444",
        "config/test.json": "0o444",
        "deploy.toml": "0o444",
        "requirements.txt": "0o444",
        "tea.service": "0o444",
        "tea/__init__.py": "0o444",
        "tea/__main__.py": "0o444",
        "tea/tool": "0o555",
        "wheels/requirements/leaf-1.0-py3-none-any.whl": "0o444",
    }
    assert (artifact.name, artifact.version, artifact.commit) == ("tea-bot", "1.2.3", None)
    assert artifact.digest == artifact.manifest.digest
    assert artifact.release_id == f"1.2.3-{artifact.digest[:12]}"
    assert artifact.path.name == f"tea-bot-{artifact.release_id}.tar"
    assert artifact.path.stat().st_size == artifact.size
    assert artifact.lock_digests == {"requirements.txt": artifact.manifest.by_path["requirements.txt"].sha256}
    assert [path.name for path in artifact.path.parent.iterdir()] == [artifact.path.name]


def test_where_it_goes_is_made_and_strangers_do_not_read_it(tmp_path: Path) -> None:
    source, out = project(tmp_path / "p", {}), tmp_path / "not" / "there yet"
    first = build(source, out=out)
    assert first.path.parent == out
    assert first.path.stat().st_mode & 0o777 == 0o640
    assert build(source, out=out) == first, "and may be there"


def test_files_after_the_wheels_are_found_again(tmp_path: Path) -> None:
    leaf = wheel(tmp_path / "wheels", "leaf")
    changed = {
        "requirements.txt": lock_line(leaf),
        "zest": "peel",
        "deploy.toml": DEPLOY_TOML.replace('"tea"', '"zest"'),
    }
    with open_artifact(build(project(tmp_path / "p", changed)).path) as reader:
        reader.verify()
        assert reader.read("zest") == b"peel"
        assert reader.read("wheels/requirements/leaf-1.0-py3-none-any.whl") == leaf.read_bytes()


def test_the_artifact_is_a_tar_that_anybody_can_read(tmp_path: Path) -> None:
    source = project(tmp_path / "p", {"tea/" + "long/" * 40 + "é": "deep", "tea/manifest.json": "its own"})
    artifact = build(source)
    with tarfile.open(artifact.path) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["manifest.json", *artifact.manifest.by_path]
        assert {(member.uid, member.gid, member.mtime, member.isreg()) for member in members} == {(0, 0, 0, True)}
        first = tar.extractfile(members[0])
        assert first is not None
        assert first.read() == artifact.manifest.to_json()
    listed = subprocess.run(["tar", "-tf", artifact.path], capture_output=True, check=True)
    assert listed.stderr == b""


def test_directory_git_and_ref_give_the_same_bytes(tmp_path: Path) -> None:
    plain, repository = project(tmp_path / "plain"), project(tmp_path / "git")
    bare = tmp_path / "bare.git"
    commit = commit_all(repository)
    git(repository, "tag", "v1")
    subprocess.run(["git", "clone", "--quiet", "--bare", repository, bare], check=True)
    built = [
        build(plain, out=tmp_path / "1"),
        build(repository, out=tmp_path / "2"),
        build(repository, "v1", out=tmp_path / "3"),
        build(bare, "main", out=tmp_path / "4"),
    ]
    assert len({artifact.sha256 for artifact in built}) == 1
    assert len({artifact.path.read_bytes() for artifact in built}) == 1
    assert [artifact.commit for artifact in built] == [None, commit, commit, commit]


def test_times_owners_umask_and_earlier_builds_do_not_matter(tmp_path: Path) -> None:
    source = project(tmp_path / "p")
    first = build(source)
    for path in source.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o640)
    before = os.umask(0o077)
    try:
        second = build(source)
    finally:
        os.umask(before)
    assert second.sha256 == first.sha256
    assert second.path == first.path


LFS = b"version https://git-lfs"
"""What a pointer to a Git LFS object begins with: it is refused, and hypothesis finds the words in our code."""


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "é", "x y", "-", "n" * 60]), min_size=1, max_size=4).map("/".join),
        st.tuples(st.binary(max_size=600).filter(lambda content: not content.startswith(LFS)), st.booleans()),
        max_size=6,
    ).filter(lambda files: not any(other.startswith(f"{path}/") for path in files for other in files))
)
def test_any_tree_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, tuple[bytes, bool]]
) -> None:
    source = project(tmp_path_factory.mktemp("any") / "p")
    for path, (content, executable) in files.items():
        write(source, {f"tea/{path}": content})
        (source / "tea" / path).chmod(0o755 if executable else 0o644)
    artifact, again = build(source), build(source, out=source.parent / "again")
    assert again.sha256 == artifact.sha256
    with open_artifact(artifact.path, artifact.digest) as reader:
        for path, (content, executable) in files.items():
            assert reader.read(f"tea/{path}") == content
            assert reader.manifest.by_path[f"tea/{path}"].mode == (0o555 if executable else 0o444)


def test_links_within_the_tree_are_stored_as_copies(tmp_path: Path) -> None:
    source = project(tmp_path / "p", {"shared/tool": "#!/bin/sh\n"})
    (source / "shared/tool").chmod(0o755)
    (source / "tea/tool").symlink_to("../shared/tool")
    commit_all(source)
    with open_artifact(build(source).path) as reader:
        assert reader.read("tea/tool") == b"#!/bin/sh\n"
        assert reader.manifest.by_path["tea/tool"].mode == 0o555
        assert "shared/tool" not in reader.manifest.by_path


def test_a_ref_is_built_as_committed_however_the_working_tree_looks(tmp_path: Path) -> None:
    source = project(tmp_path / "p")
    commit_all(source)
    clean = build(source)
    write(source, {"tea/__main__.py": "changed", "deploy.toml": "broken", "tea/new.py": "new"})
    assert build(source, "HEAD").digest == clean.digest


def test_what_is_not_part_of_the_release_may_differ(tmp_path: Path) -> None:
    source = project(tmp_path / "p", {".gitignore": "*.log\n"})
    commit_all(source)
    clean = build(source)
    write(source, {"README.md": "edited", "notes": "new", "tea/x.log": "ignored"})
    assert build(source).digest == clean.digest


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tea/__main__.py": "edited"}, "tea/__main__.py"),
        ({"tea/new.py": "new"}, "tea/new.py"),
        ({"VERSION": "9.9.9\n"}, "VERSION"),
        ({"config/test.json": "{}"}, "config/test.json"),
        ({"deploy.toml": DEPLOY_TOML + "keep = 1"}, "deploy.toml"),
    ],
)
def test_a_tree_that_differs_from_its_commit_is_refused_naming_the_files(
    tmp_path: Path, change: dict[str, str], named: str
) -> None:
    source = project(tmp_path / "p")
    commit_all(source)
    write(source, change)
    with pytest.raises(errors.DirtyTree, match=f"differs from its commit: {re.escape(named)}\\.") as caught:
        build(source)
    assert caught.value.reason == "dirty_tree"
    assert [problem.key for problem in caught.value.problems] == [named]


def test_a_deploy_toml_that_is_corrected_but_not_committed_is_a_difference(tmp_path: Path) -> None:
    source = project(tmp_path / "p", {"deploy.toml": "broken"})
    commit_all(source)
    project(source)
    with pytest.raises(errors.DirtyTree, match=r"deploy\.toml"):
        build(source)


def test_a_deleted_and_a_staged_file_are_differences_too(tmp_path: Path) -> None:
    source = project(tmp_path / "p")
    commit_all(source)
    (source / "tea/__init__.py").unlink()
    write(source, {"tea/staged.py": ""})
    git(source, "add", "tea/staged.py")
    with pytest.raises(errors.DirtyTree, match=r"tea/__init__\.py, tea/staged\.py"):
        build(source)


def test_more_bytes_than_a_release_may_have_are_no_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = project(tmp_path / "p", {"tea/a": "a" * 600_000, "tea/b": "b" * 600_000})
    assert build(source).size > 1 << 20
    monkeypatch.setattr(building, "LARGEST", 1 << 20)
    with pytest.raises(errors.ReleaseTooLarge, match=r"With tea/b the release has more than 1 MB\."):
        build(source)


def _submodule(root: Path) -> None:
    commit = commit_all(root)
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{commit},tea/sub")
    git(root, "commit", "--quiet", "--message=sub")
    (root / "tea/sub").mkdir()


def _downloaded(root: Path) -> None:
    """As the archive that GitHub offers for download has it: where a submodule belongs there is nothing."""
    write(root, {".gitmodules": '[submodule "sub"]\n\tpath = tea/sub\n\turl = https://example.org/sub.git\n'})
    (root / "tea/sub").mkdir()


def _tree_with_dots(root: Path) -> None:
    """A commit that no git command makes: one with '..' as a directory."""
    commit_all(root)
    blob = git(root, "rev-parse", "HEAD:VERSION")
    raw = b"100644 passwd\0" + bytes.fromhex(blob)
    inner = _object(root, raw)
    tea = _object(root, b"40000 ..\0" + bytes.fromhex(inner))
    entries = git(root, "ls-tree", "HEAD").splitlines()
    rewritten = "\n".join(f"040000 tree {tea}\ttea" if line.endswith("\ttea") else line for line in entries)
    made = subprocess.run(["git", "mktree"], input=rewritten, cwd=root, capture_output=True, text=True, check=True)
    commit = git(root, "commit-tree", made.stdout.strip(), "-m", "evil")
    git(root, "update-ref", "refs/heads/main", commit)
    git(root, "update-index", "--refresh", "--really-refresh", "-q")


def _object(root: Path, content: bytes) -> str:
    argv = ["git", "hash-object", "-t", "tree", "--literally", "-w", "--stdin"]
    return subprocess.run(argv, input=content, cwd=root, capture_output=True, check=True).stdout.decode().strip()


def _files(**files: str | None) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name, content in files.items():
            path = root / name.replace("__", "/").replace("_DOT_", ".")
            if content is None:
                path.unlink()
            else:
                write(root, {str(path.relative_to(root)): content})

    return change


def _link(target: str) -> Callable[[Path], None]:
    return lambda root: (root / "tea/link").symlink_to(target)


REFUSALS: list[tuple[type[errors.PlanError], str, str, Callable[[Path], object], str | None]] = [
    (errors.NoDeployToml, "no_deploy_toml", "no such file at the root", _files(deploy_DOT_toml=None), None),
    (errors.NoDeployToml, "no_deploy_toml", "no such file", lambda root: git(root, "init", "-q"), None),
    (errors.BadDeployToml, "bad_deploy_toml", "name: is missing", _files(deploy_DOT_toml="python = '3.11'"), None),
    (
        errors.MissingLock,
        "missing_lock",
        r"roles\.bot\.lock: 'requirements\.txt' is not in the tree",
        _files(requirements_DOT_txt=None),
        None,
    ),
    (
        errors.LockWithoutHashes,
        "lock_without_hashes",
        "leaf has no sha256",
        _files(requirements_DOT_txt="leaf==1"),
        None,
    ),
    (errors.BadLock, "bad_lock", "'-e' is an option", _files(requirements_DOT_txt="-e ."), None),
    (errors.MissingVersion, "missing_version", "VERSION: there is no such file", _files(VERSION=None), None),
    (errors.MissingVersion, "missing_version", "does not hold a version", _files(VERSION="v1.0"), None),
    (errors.FileMissing, "missing_file", "'tea.service' is not in the tree", _files(tea_DOT_service=None), None),
    (errors.FileMissing, "missing_file", "'config/test.json' is not", _files(config__test_DOT_json=None), None),
    (
        errors.FileMissing,
        "missing_file",
        "'coffee' matches no file",
        _files(deploy_DOT_toml=DEPLOY_TOML.replace('["tea"]', '["tea", "coffee"]')),
        None,
    ),
    (errors.BadTemplate, "bad_template", "not proper JSON", _files(config__test_DOT_json="{"), None),
    (errors.BadUnit, "bad_unit", "would run as root", _files(tea_DOT_service=UNIT.replace("User=", "#")), None),
    (errors.BadUnit, "bad_unit", "nowhere mentions", _files(tea_DOT_service="[Service]\nUser=x\n"), None),
    (errors.SymlinkEscapes, "symlink_escapes", "tea/link: is a symbolic link", _link("/etc/passwd"), None),
    (errors.SymlinkEscapes, "symlink_escapes", "tea/link: is a symbolic link", _link("../../x"), None),
    (errors.SymlinkBroken, "symlink_broken", "does not exist", _link("gone"), None),
    (errors.SymlinkBroken, "symlink_broken", "leads to a directory", _link("../config"), None),
    (errors.SpecialFile, "special_file", "tea/pipe: is a pipe", lambda root: os.mkfifo(root / "tea/pipe"), None),
    (errors.SpecialFile, "special_file", "tea/sub: is a repository within", _submodule, "HEAD"),
    (errors.SpecialFile, "special_file", "tea/sub: is a repository within", _downloaded, None),
    (
        errors.SpecialFile,
        "special_file",
        "Git LFS",
        _files(tea__big="version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"),
        None,
    ),
    (errors.PathEscapes, "path_escapes", "leads out of the tree", _tree_with_dots, "main"),
    (errors.PathEscapes, "path_escapes", "line break", lambda root: write(root, {"tea/a\nb": ""}), None),
    (errors.PathClash, "path_clash", "tea/A and tea/a", lambda root: write(root, {"tea/A": "", "tea/a": ""}), None),
    (errors.ReservedPath, "reserved_path", "wheels/x", lambda root: _reserve(root, "wheels/x"), None),
    (errors.ReservedPath, "reserved_path", r"\.release", lambda root: _reserve(root, ".release"), None),
    (errors.UnknownRef, "unknown_ref", "no commit, tag or branch 'v9'", commit_all, "v9"),
    (errors.UnknownRef, "unknown_ref", "is not a git repository", lambda root: None, "v9"),
    (
        errors.WheelsUnavailable,
        "wheels_unavailable",
        "no wheel of leaf",
        _files(requirements_DOT_txt=f"leaf==1 --hash=sha256:{'a' * 64}"),
        None,
    ),
]


def _reserve(root: Path, path: str) -> None:
    write(root, {"deploy.toml": DEPLOY_TOML.replace('["tea"]', '["**"]'), path: "x"})


@pytest.mark.parametrize(
    ("kind", "reason", "sentence", "change", "ref"), REFUSALS, ids=[f"{each[1]}-{each[2]}" for each in REFUSALS]
)
def test_a_refusal_says_what_is_wrong_and_leaves_nothing(
    tmp_path: Path,
    kind: type[errors.PlanError],
    reason: str,
    sentence: str,
    change: Callable[[Path], object],
    ref: str | None,
) -> None:
    source = project(tmp_path / "p")
    change(source)
    if reason == "no_deploy_toml" and (source / ".git").exists():
        write(source, {"other": ""})
        git(source, "add", "other")
        git(source, "commit", "--quiet", "--message=without deploy.toml")
        (source / "deploy.toml").rename(source / "deploy.txt")
    with pytest.raises(kind, match=sentence) as caught:
        build(source, ref)
    assert type(caught.value) is kind
    assert caught.value.reason == reason
    assert caught.value.hint or caught.value.problems
    assert list((tmp_path / "artifacts").glob("*")) == []


def test_all_mistakes_of_a_tree_are_told_together(tmp_path: Path) -> None:
    source = project(
        tmp_path / "p", {"VERSION": "next", "requirements.txt": "leaf", "config/test.json": "[]", "tea/A": ""}
    )
    write(source, {"tea/a": ""})
    (source / "tea/link").symlink_to("/etc/passwd")
    with pytest.raises(errors.PlanError, match="5 mistakes") as caught:
        build(source)
    assert {problem.reason for problem in caught.value.problems} == {
        "symlink_escapes", "path_clash", "missing_version", "bad_lock", "bad_template",
    }  # fmt: skip


@pytest.mark.parametrize("bad", ["not there", "a file"])
def test_a_source_that_is_no_directory_says_so(tmp_path: Path, bad: str) -> None:
    write(tmp_path, {"a file": ""})
    with pytest.raises(errors.UnknownSource, match="is not a directory"):
        build(tmp_path / bad)


def test_a_bare_repository_needs_a_ref(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare")
    with pytest.raises(errors.UnknownRef, match="bare repository"):
        build(tmp_path)


def test_wheels_that_a_source_made_up_are_refused(tmp_path: Path) -> None:
    leaf, other = wheel(tmp_path / "wheels", "leaf"), wheel(tmp_path / "wheels", "other")
    source = project(tmp_path / "p", {"requirements.txt": lock_line(leaf)})

    class Careless:
        def wheels(self, lock: object, python: str, architecture: str = "x86_64") -> list[Path]:
            return [leaf, other]

    with pytest.raises(errors.WheelsUnavailable, match=r"other-1\.0-py3-none-any\.whl has no hash"):
        build_artifact(source, None, Careless(), tmp_path / "artifacts")


def test_a_build_that_breaks_off_leaves_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = project(tmp_path / "p")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build(source)
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_an_environment_is_made_from_the_release_alone(tmp_path: Path) -> None:
    source = project(tmp_path / "p", {"requirements.txt": lock_line(wheel(tmp_path / "wheels", "leaf", "1.5"))})
    artifact = build(source)
    release, environment = tmp_path / "release", tmp_path / "env"
    release.mkdir()
    subprocess.run(["tar", "-xf", artifact.path, "-C", release], check=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = str(environment / "bin/python")
    argv = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    argv += [
        f"--find-links={release}/wheels/requirements",
        "--require-hashes",
        f"--requirement={release}/requirements.txt",
    ]
    # what pip is told on this machine, servers are not told
    subprocess.run(argv, env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null"}, check=True)
    code = [python, "-c", "import leaf; print(leaf.VERSION)"]
    assert subprocess.run(code, capture_output=True, text=True, check=True).stdout == "1.5\n"
