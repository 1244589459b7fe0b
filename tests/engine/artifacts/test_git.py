"""Commits as trees: exactly what was committed, and nothing that the repository configures is run."""

import os
import shutil
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest

import engine.artifacts.git as module
from engine.artifacts.errors import TooManyFiles, UnknownRef, UnknownSource
from engine.artifacts.git import Repository, repository_at
from engine.artifacts.source import Kind
from tests.engine.artifacts.projects import commit_all, git, write


def at(directory: Path) -> Repository:
    repository = repository_at(directory)
    assert repository is not None
    return repository


def test_a_plain_directory_is_no_repository(tmp_path: Path) -> None:
    assert repository_at(tmp_path) is None


def test_a_damaged_repository_is_not_taken_for_a_plain_directory(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1"})
    commit_all(tmp_path)
    (tmp_path / ".git/config").write_text("[core]\n\trepositoryformatversion = 99\n")
    with pytest.raises(UnknownSource, match=r"git cannot read .*99"):
        repository_at(tmp_path)


def test_a_tree_holds_the_committed_bytes_whatever_attributes_and_filters_say(tmp_path: Path) -> None:
    files = {
        ".gitattributes": "kept export-ignore\nsubst export-subst\ncrlf text eol=crlf\n*.x filter=evil\n",
        "kept": "1\n",
        "subst": "$Format:%H$\n",
        "crlf": "a\nb\n",
        "f.x": "clean\n",
        "tool": "#!/bin/sh\n",
    }
    write(tmp_path, files)
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "link").symlink_to("kept")
    commit = commit_all(tmp_path)
    canary = tmp_path / "ran"
    git(tmp_path, "config", "filter.evil.smudge", f"touch {canary}; cat")
    with at(tmp_path).tree(commit) as tree:
        assert {path: tree.read(path).decode() for path in tree.entries} == files | {"link": "kept"}
        assert tree.entries["tool"].executable
        assert not tree.entries["kept"].executable
        assert tree.entries["link"].kind is Kind.LINK
    assert not canary.exists()


def test_looking_at_a_repository_runs_no_hook_and_no_file_watcher(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1"})
    commit = commit_all(tmp_path)
    canary = tmp_path.parent / f"{tmp_path.name}-ran"
    script = tmp_path / ".git/hooks/post-index-change"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(script))
    write(tmp_path, {"a": "1", "b": "2"})
    repository = at(tmp_path)
    assert repository.changed() == ("b",)
    with repository.tree(commit) as tree:
        assert tree.read("a") == b"1"
    assert not canary.exists()


def test_a_directory_within_a_repository_is_a_tree_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, {"top": "1", "sub/a": "2", "sub/deep/b": "3"})
    commit = commit_all(tmp_path)
    write(tmp_path, {"top": "changed", "sub/a": "changed"})
    repository = at(tmp_path / "sub")
    assert repository.changed() == ("a",)
    assert repository.working_files() == ("a", "deep/b")
    with repository.tree(commit) as tree:
        assert sorted(tree.entries) == ["a", "deep/b"]
        assert tree.read("a") == b"2"


def test_variables_of_a_surrounding_hook_do_not_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine", {"a": "mine"})
    write(tmp_path / "other", {"b": "other"})
    commit_all(tmp_path / "mine")
    commit_all(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert at(tmp_path / "mine").working_files() == ("a",)


@pytest.mark.parametrize("ref", ["main", "v1", "HEAD", "short"])
def test_a_ref_is_a_branch_a_tag_or_an_id(tmp_path: Path, ref: str) -> None:
    write(tmp_path, {"a": "1"})
    commit = commit_all(tmp_path)
    git(tmp_path, "tag", "--annotate", "--message=one", "v1")
    assert at(tmp_path).commit(commit[:10] if ref == "short" else ref) == commit


@pytest.mark.parametrize(
    "ref",
    [
        "gone",
        "",
        "--help",
        "--since=2020",
        "-h",
        "main\n",
        "a\0b",
        "main; touch x",
        "$(id)",
        "HEAD:a",
        "\udcff",
        "a" * 5000,
    ],
)
def test_an_unknown_or_hostile_ref_is_refused(tmp_path: Path, ref: str) -> None:
    write(tmp_path, {"a": "1"})
    commit_all(tmp_path)
    with pytest.raises(UnknownRef, match="has no commit, tag or branch"):
        at(tmp_path).commit(ref)


def test_a_repository_without_commits_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UnknownRef, match="has no commit yet"):
        at(tmp_path).commit("HEAD")


def test_a_replaced_object_does_not_pass_for_the_commit(tmp_path: Path) -> None:
    write(tmp_path, {"a": "honest"})
    commit = commit_all(tmp_path)
    write(tmp_path, {"a": "forged"})
    forged = commit_all(tmp_path)
    git(tmp_path, "replace", commit, forged)
    with at(tmp_path).tree(commit) as tree:
        assert tree.read("a") == b"honest"


def test_a_missing_object_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1", "b": "2"})
    commit = commit_all(tmp_path)
    blob = git(tmp_path, "rev-parse", "HEAD:a")
    (tmp_path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with at(tmp_path).tree(commit) as tree:
        with pytest.raises(UnknownSource, match=f"cannot read the object {blob}"):
            tree.read("a")
        assert tree.read("b") == b"2"


def test_submodules_and_strange_names_are_listed_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1"})
    commit = commit_all(tmp_path)
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    blob = git(tmp_path, "rev-parse", "HEAD:a")
    for name in (b"new\nline", b"\xff", b'quo"te'):
        entry = b"100644 " + blob.encode() + b"\t" + name
        subprocess.run(["git", "update-index", "-z", "--index-info"], input=entry + b"\0", cwd=tmp_path, check=True)
    git(tmp_path, "commit", "--quiet", "--message=strange")
    with at(tmp_path).tree("HEAD") as tree:
        assert tree.entries["sub"].kind is Kind.SUBMODULE
        assert {os.fsdecode(b"\xff"), "new\nline", 'quo"te'} < set(tree.entries)
        assert tree.read(os.fsdecode(b"\xff")) == b"1"


def test_leaving_a_tree_leaves_no_process(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1"})
    commit = commit_all(tmp_path)
    with at(tmp_path).tree(commit) as tree:
        tree.read("a")
        reader = tree._reader
        assert reader is not None
        assert reader.poll() is None
    assert reader.poll() == 0


HOSTILE = {
    "filter": [("filter.evil.clean", "{run}; cat"), ("filter.evil.smudge", "{run}; cat")],
    "filter that stays": [("filter.evil.process", "{run}"), ("filter.evil.required", "true")],
    "file watcher": [("core.fsmonitor", "{run}")],
    "hooks elsewhere": [("core.hooksPath", "{directory}")],
    "signatures": [("log.showSignature", "true"), ("gpg.program", "{program}"), ("gpg.ssh.program", "{program}")],
    "differences": [("diff.evil.textconv", "{run}; cat"), ("diff.external", "{run}"), ("diff.evil.command", "{run}")],
    "fetching what is missing": [
        ("remote.origin.url", "ext::{program}"),
        ("remote.origin.promisor", "true"),
        ("extensions.partialClone", "origin"),
        ("core.repositoryformatversion", "1"),
        ("protocol.ext.allow", "always"),
        ("core.sshCommand", "{run}"),
        ("remote.origin.uploadpack", "{run}"),
    ],
    "words of its own": [("alias.status", "!{run}"), ("core.pager", "{run}"), ("pager.log", "true")],
    "passwords": [("credential.helper", "!{run}"), ("core.askPass", "{program}")],
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("included", [False, True], ids=["", "by an include"])
def test_nothing_that_a_repository_configures_runs(tmp_path: Path, kind: str, included: bool) -> None:
    work, canary, program = tmp_path / "work", tmp_path / "ran", tmp_path / "programs/post-index-change"
    work.mkdir()
    write(work, {".gitattributes": "* filter=evil diff=evil\n", "a": "1\n", "gone": "gone\n"})
    first = commit_all(work)
    write(work, {"a": "2\n"})
    commit = commit_all(work)
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {canary}\n")
    program.chmod(0o755)
    places = {"run": f"touch {canary}", "program": str(program), "directory": str(program.parent)}
    for name, value in HOSTILE[kind]:
        where = ("--file", str(tmp_path / "included")) if included and not name.startswith(("core.rep", "ext")) else ()
        git(work, "config", *where, name, value.format(**places))
    if included:
        git(work, "config", "include.path", str(tmp_path / "included"))
    (work / "a").write_text("3\n")  # same size: git has to look into it
    os.utime(work / "a", (1, 1))
    signed = git(work, "cat-file", "commit", commit).replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n\n", 1
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=work, input=signed.encode() + b"\n",
        capture_output=True, check=True,
    )  # fmt: skip
    repository = at(work)
    repository.subjects(first, made.stdout.decode().strip())
    assert repository.changed() == ("a",)
    assert "a" in repository.working_files()
    missing = git(work, "rev-parse", f"{commit}:gone").strip()
    (work / ".git/objects" / missing[:2] / missing[2:]).unlink()
    with repository.tree(repository.commit("HEAD")) as tree:
        assert tree.read("a") == b"2\n"
        with pytest.raises(UnknownSource):
            tree.read("gone")
    assert not canary.exists()


def test_nothing_that_a_submodule_configures_runs(tmp_path: Path) -> None:
    inner, work, canary = tmp_path / "inner", tmp_path / "work", tmp_path / "ran"
    for directory in (inner, work):
        directory.mkdir()
        write(directory, {".gitattributes": "* filter=evil\n", "a": "1\n"})
        commit_all(directory)
    git(work, "-c", "protocol.file.allow=always", "submodule", "add", str(inner), "sub")
    commit_all(work)
    git(work / "sub", "config", "filter.evil.clean", f"touch {canary}; cat")
    (work / "sub/a").write_text("2\n")
    os.utime(work / "sub/a", (1, 1))
    at(work).changed()
    assert not canary.exists()


def test_a_linked_work_tree_and_a_bare_repository_are_read_as_ever(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    write(work, {"a": "1\n"})
    commit = commit_all(work)
    git(work, "worktree", "add", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side/b").write_text("new\n")
    assert at(tmp_path / "side").commit("HEAD") == commit
    assert at(tmp_path / "side").changed() == ("b",)
    git(tmp_path, "clone", "--bare", str(work), "bare")
    with at(tmp_path / "bare").tree(commit) as tree:
        assert tree.read("a") == b"1\n"


def test_a_build_may_take_longer_between_two_files_than_git_may_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a": "1", "b": "2"})
    commit_all(tmp_path)
    monkeypatch.setattr(module, "TIMEOUT", 5.0)
    with at(tmp_path).tree("HEAD") as tree:
        assert sorted(tree.entries) == ["a", "b"]
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
        assert tree.read("a") == b"1"
        time.sleep(0.6)  # three times what git may take: packages are fetched meanwhile
        assert tree.read("b") == b"2"


def test_a_git_that_owes_an_answer_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository, programs = tmp_path / "repository", tmp_path / "bin"
    write(repository, {"a": "1"})
    commit_all(repository)
    write(
        programs,
        {"git": f'#!/bin/sh\ncase "$*" in *cat-file*) exec sleep 60;; esac\nexec {shutil.which("git")} "$@"\n'},
    )
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with at(repository).tree("HEAD") as tree:
        assert list(tree.entries) == ["a"]
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
        with pytest.raises(UnknownSource, match=r"git needs more than 0\.2 s"):
            tree.read("a")


def test_a_commit_of_more_files_than_are_looked_at_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, commit = of_many(tmp_path / "many", 1000)
    monkeypatch.setattr("engine.artifacts.git.MOST_FILES", 1000)
    with repository.tree(commit) as tree:
        assert len(tree.entries) == 1000
    monkeypatch.setattr("engine.artifacts.git.MOST_FILES", 999)
    with (
        pytest.raises(TooManyFiles, match=f"Commit {commit[:10]} has more than 999 files"),
        repository.tree(commit) as tree,
    ):
        assert tree.entries


def test_a_commit_of_a_million_files_takes_no_memory_for_them(tmp_path: Path) -> None:
    """Of which git keeps a few objects: each directory is the same one."""
    repository, commit = of_many(tmp_path / "many", 1000, times=1000)
    tracemalloc.start()
    try:
        with pytest.raises(TooManyFiles), repository.tree(commit) as tree:
            assert tree.entries
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


def of_many(directory: Path, files: int, times: int = 1) -> tuple[Repository, str]:
    """A repository with a commit of so many files, that many times over."""
    directory.mkdir()

    def git(*argv: str, said: str = "") -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        argv = ("git", *identity, *argv)
        return subprocess.run(
            argv, cwd=directory, input=said, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "--quiet")
    blob = git("hash-object", "-w", "--stdin", said="x")
    tree = git("mktree", said="".join(f"100644 blob {blob}\tf{number}\n" for number in range(files)))
    if times > 1:
        tree = git("mktree", said="".join(f"040000 tree {tree}\td{number}\n" for number in range(times)))
    return Repository(directory, "", bare=False), git("commit-tree", tree, "-m", "many")
