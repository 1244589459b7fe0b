"""Locks of uv and Poetry: what their project needs on servers, and what of them no release can be made from.

`tests/data/locked-project` has a project with both: markers, an extra that it asks of another package, two versions of
one for two Pythons, an extra of its own and a group; as uv 0.13 and Poetry 2.5 wrote them.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.artifacts import errors
from engine.artifacts.artifact import build_artifact, open_artifact
from engine.artifacts.check import check_deploy_toml
from engine.artifacts.lock import read_lock
from engine.artifacts.project_locks import as_requirements
from engine.artifacts.received import receive_artifact
from engine.artifacts.wheels import DirectoryWheels, sha256_of
from tests.engine.artifacts.projects import DEPLOY_TOML, project, wheel
from tests.project.raised import ROOT

PROJECT = ROOT / "tests" / "data" / "locked-project"
UV, POETRY = ((PROJECT / name).read_text() for name in ("uv.lock", "poetry.lock"))
OURS = [("uv.lock", UV), ("poetry.lock", POETRY)]


def needed(path: str, text: str, python: str = "3.11", architecture: str = "x86_64") -> list[str]:
    content, problems = as_requirements(path, text.encode(), python, architecture)
    assert problems == []
    lock, problems = read_lock(path, content)
    assert problems == []
    assert all(package.marker is None for package in lock.packages)
    return [package.line() for package in lock.needed(python, architecture)]


def wrong(path: str, text: str, python: str = "3.11") -> str:
    content, (problem,) = as_requirements(path, text.encode(), python, "x86_64")
    assert (content, problem.key, problem.reason) == (text.encode(), path, "bad_lock")
    assert problem.hint.endswith(".")
    return problem.wrong


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.14"])
def test_both_say_what_uv_exports_itself(python: str) -> None:
    argv = [
        str(Path(sys.executable).with_name("uv")),
        "export",
        "--quiet",
        "--frozen",
        "--offline",
        "--no-emit-project",
    ]
    done = subprocess.run([*argv, "--no-dev"], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    exported = [package.line() for package in read_lock("x.txt", done.stdout.encode())[0].needed(python)]
    assert len(exported) > 10
    for path, text in OURS:
        assert needed(path, text, python) == exported, path


@pytest.mark.parametrize(("path", "text"), OURS)
def test_groups_extras_and_other_machines_are_no_part_of_it_and_extras_of_others_are(path: str, text: str) -> None:
    for python, version in (("3.11", "24.0"), ("3.12", "24.2")):
        names = [line.partition(" ")[0].partition("==") for line in needed(path, text, python)]
        there = {name: version for name, _, version in names}
        assert there["packaging"] == version
        assert {"httpx", "h2", "typing-extensions"} <= there.keys()
        assert not {"tea", "colorama", "exceptiongroup", "iniconfig", "itsdangerous"} & there.keys()


def test_a_requirements_file_is_left_as_it_is() -> None:
    for path, content in (("uv.lock", b"# nothing\n"), ("requirements.txt", UV.encode())):
        assert as_requirements(path, content, "3.11", "x86_64") == (content, [])


def elsewhere(text: str, name: str, old: str, new: str) -> str:
    """The lock in which one package comes from another place."""
    before, begins, after = text.partition(f'name = "{name}"\n')
    assert old in after
    return before + begins + after.replace(old, new, 1)


def test_a_package_that_the_servers_need_from_another_place_than_an_index_is_named() -> None:
    registry, git = '{ registry = "https://pypi.org/simple" }', '{ git = "https://example.org/h2?rev=1" }'
    said = "has h2 from git https://example.org/h2?rev=1, not from an index"
    assert wrong("uv.lock", elsewhere(UV, "h2", registry, git)) == said
    assert needed("uv.lock", elsewhere(UV, "iniconfig", registry, git)) == needed("uv.lock", UV)
    said = wrong("poetry.lock", elsewhere(POETRY, "h2", 'type = "legacy"', 'type = "git"'))
    assert said == "has h2 from https://pypi.org/simple, not from an index"


def no_list(text: str) -> str:
    """Wheels are something else."""
    return text.replace("[[package]]\n", "[[package]]\nwheels = 3\n", 1).replace("wheels = [", "x = [")


CHANGES: list[tuple[str, Callable[[str], str], str]] = [
    ("uv.lock", lambda text: text.replace("version = 1\n", "version = 2\n", 1), "is a lock of version 2"),
    ("uv.lock", lambda text: text.replace('virtual = "."', 'virtual = "member"'), "which package is the project"),
    ("uv.lock", lambda text: text.replace('"httpx"', '"other"', 1), "has 0 packages"),
    ("uv.lock", lambda text: text.replace(">=3.10, <4.0", ">=3.12"), "is for Python >=3.12, and deploy.toml says 3.11"),
    ("uv.lock", lambda text: text.replace("sha256:", "md5:"), "has no sha256 hash of"),
    ("uv.lock", lambda text: text.replace("python_full_version < '3.12'\" }", "nonsense\" }"), "cannot be read"),
    ("uv.lock", lambda text: text.replace("python_full_version < '3.12'\" }", "'x' in extras\" }"), "cannot be read"),
    ("uv.lock", lambda text: f"{text}[[", "cannot be read"),
    ("uv.lock", no_list, "has something at package[0].wheels that uv does not write"),
    ("poetry.lock", lambda text: text.replace('"2.1"', '"2.0"'), "is a lock of version 2.0, and 2.1 alone says"),
    ("poetry.lock", lambda text: text.partition("[metadata]")[0], "is a lock of version None"),
    ("poetry.lock", lambda text: text.replace('">=3.10,<4.0"', '">=3.12"'), "is for Python >=3.12"),
    ("poetry.lock", lambda text: text.replace('groups = ["main"]', "groups = 1", 1), "has something at package"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "change", "words"), CHANGES)
def test_a_lock_that_cannot_be_used_says_why(path: str, change: Callable[[str], str], words: str) -> None:
    text = {"uv.lock": UV, "poetry.lock": POETRY}[path]
    assert change(text) != text
    assert words in wrong(path, change(text))


def test_pythons_in_poetrys_own_words_are_left_to_poetry() -> None:
    assert needed("poetry.lock", POETRY.replace('">=3.10,<4.0"', '"^3.12"')) == needed("poetry.lock", POETRY)


def test_a_package_from_the_usual_index_has_no_source_in_poetrys_lock() -> None:
    usual = POETRY.replace(
        '[package.source]\ntype = "legacy"\nurl = "https://pypi.org/simple"\nreference = "index"\n', ""
    )
    assert "package.source" not in usual
    assert needed("poetry.lock", usual) == needed("poetry.lock", POETRY)


def locked(wheels: Path, name: str) -> dict[str, str | bytes | None]:
    """A project with a lock of uv's or Poetry's of the one wheel that it needs."""
    digest = sha256_of(wheel(wheels, "leaf"))
    of_uv = (
        'version = 1\n[[package]]\nname = "tea-bot"\nsource = { virtual = "." }\ndependencies = [{ name = "leaf" }]\n'
        '[[package]]\nname = "leaf"\nversion = "1.0"\nsource = { registry = "https://pypi.org/simple" }\n'
        f'wheels = [{{ hash = "sha256:{digest}" }}]\n'
    )
    of_poetry = (
        f'[[package]]\nname = "leaf"\nversion = "1.0"\ngroups = ["main"]\nfiles = [{{ hash = "sha256:{digest}" }}]\n'
        '[metadata]\nlock-version = "2.1"\n'
    )
    text = of_uv if name == "uv.lock" else of_poetry
    return {name: text, "deploy.toml": DEPLOY_TOML.replace("requirements.txt", name), "requirements.txt": None}


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock"])
def test_a_release_has_what_pip_reads_and_the_wheels_of_it(tmp_path: Path, name: str) -> None:
    source = project(tmp_path / "p", locked(tmp_path / "wheels", name))
    assert check_deploy_toml(source) == []
    built = build_artifact(source, None, DirectoryWheels(tmp_path / "wheels"), tmp_path / "artifacts")
    digest = sha256_of(tmp_path / "wheels" / "leaf-1.0-py3-none-any.whl")
    with open_artifact(built.path) as reader:
        lines = reader.read(name).decode().splitlines()
        assert lines[1:] == [f"leaf==1.0 --hash=sha256:{digest}"]
        assert f"wheels/{name.partition('.')[0]}/leaf-1.0-py3-none-any.whl" in reader.manifest.by_path
    assert receive_artifact(built.path) == built


def test_a_lock_that_cannot_be_used_is_told_before_anything_is_built(tmp_path: Path) -> None:
    changed = locked(tmp_path / "wheels", "uv.lock")
    changed["uv.lock"] = str(changed["uv.lock"]).replace("version = 1\n", "version = 2\n")
    source = project(tmp_path / "p", changed)
    assert [problem.reason for problem in check_deploy_toml(source)] == ["bad_lock"]
    with pytest.raises(errors.BadLock, match="is a lock of version 2"):
        build_artifact(source, None, DirectoryWheels(tmp_path / "wheels"), tmp_path / "artifacts")
