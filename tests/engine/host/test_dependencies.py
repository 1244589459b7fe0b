"""The environments of a release, and its own check, in a run: what says no changes nothing."""

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.environments import bundled_pip
from engine.host.agent.fake_machine import Machine
from engine.host.agent.integrity import environment_problems
from engine.host.agent.limits import Record
from engine.host.agent.processes import marked_processes
from engine.host.agent.tree import Tree, env_complete
from tests.engine.artifacts.projects import lock_line, wheel
from tests.engine.host.runs import NEW, OLD, plan, put_live, rehearse, role, run, said
from tests.engine.host.test_staging import row, tar

SHA, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def running(tree: Tree, machine: Machine) -> None:
    """The old release is live."""
    put_live(tree)


def deploy(tree: Tree, lock: bytes | None = None, *, fence: int = 3, release: str = NEW, **changes: Any) -> Record:
    """A run for a bot that has a lock, or a check."""
    files = [("requirements.txt", lock)] if lock is not None else []
    known = {"lock": "requirements.txt", "env_digest": SHA} if lock is not None else {}
    manifest = [row(*file) for file in files]
    wanted = plan(tree, fence=fence, release=release, manifest=manifest, roles=[role(**{**known, **changes})])
    return run(tree, {**wanted, "deployment": str(fence)}, tar(files))


def test_packages_are_compiled_before_they_run(tree: Tree, tmp_path: Path) -> None:
    made = wheel(tmp_path, "tea")
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("tea_of_python_2.py", "print 'tea'\n")
        archive.writestr("tea_leaf.py", "LEAF = 1\n")
    lock = lock_line(made).encode()
    files = [("locks/bot.txt", lock), (f"wheels/bot/{made.name}", made.read_bytes())]
    wanted = plan(
        tree,
        fence=3,
        release=NEW,
        manifest=[row(*file) for file in files],
        roles=[role(lock="locks/bot.txt", env_digest=SHA)],
    )
    result = run(tree, {**wanted, "deployment": "3"}, tar(files))
    assert result["status"] == "succeeded", result
    found = {path.name.partition(".")[0] for path in Path(tree.envs, SHA, "lib").rglob("*.pyc")}
    assert found == {"tea", "tea_leaf"}
    assert environment_problems(tree, SHA) == []


def test_an_environment_is_begun_while_files_arrive(tree: Tree) -> None:
    rehearse(tree, "stage", f"until [ -e envs/{SHA}/bin/python ]; do sleep 0.01; done")
    result = deploy(tree, b"# nothing\n")
    assert result["status"] == "succeeded", result
    assert env_complete(tree, SHA)


def test_an_environment_that_is_there_stays_until_its_step(tree: Tree) -> None:
    there = Path(tree.envs, SHA, "there")
    there.parent.mkdir()
    there.touch()
    rehearse(tree, "dependencies", f"[ -e {there} ] && touch stayed")
    assert deploy(tree, b"# nothing\n")["status"] == "succeeded"
    assert Path(tree.root, "stayed").exists()
    assert env_complete(tree, SHA)
    assert not there.exists()


def test_a_run_that_ends_before_leaves_no_environment_that_was_begun(tree: Tree) -> None:
    rehearse(tree, "stage", f"until [ -e envs/{SHA}/bin/python ]; do sleep 0.01; done; exit 1")
    result = deploy(tree, b"# nothing\n")
    assert result["status"] == "failed", result
    assert marked_processes("3", tree.root) == []
    assert not Path(tree.envs, SHA).exists()
    assert untouched(tree)


def untouched(tree: Tree) -> bool:
    return tree.current_release() == OLD and tree.release_names() == [OLD]


def test_an_environment_is_built_once_and_used_again(tree: Tree) -> None:
    result = deploy(tree, b"# nothing\n")
    assert result["status"] == "succeeded", result
    assert env_complete(tree, SHA)
    made = Path(tree.envs, SHA, ".complete").stat().st_mtime_ns
    assert deploy(tree, b"# nothing\n", fence=4, release="3.0-c")["status"] == "succeeded"
    assert Path(tree.envs, SHA, ".complete").stat().st_mtime_ns == made


def test_an_environment_that_somebody_changed_is_built_anew(tree: Tree) -> None:
    deploy(tree, b"# nothing\n")
    planted = Path(tree.envs, SHA, "planted.pth")
    planted.write_text("import os\n")
    assert deploy(tree, b"# nothing\n", fence=4, release="3.0-c")["status"] == "succeeded"
    assert not planted.exists()


def test_a_package_that_is_not_there_ends_the_run_and_leaves_no_half_environment(tree: Tree) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    result = deploy(tree, f"tea==1.0 --hash=sha256:{digest}\n".encode())
    assert (result["status"], result["reason"]) == ("failed", "dependencies_failed"), result
    assert "requirements.txt could not be installed" in result["sentence"]
    assert any("tea" in str(record.get("text")) for record in said(tree) if record["kind"] == "log"), "pip says why"
    assert not Path(tree.envs, SHA).exists()
    assert untouched(tree)


def test_a_python_without_pip_says_what_brings_it(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ensurepip

    monkeypatch.setattr(ensurepip, "__file__", str(tmp_path / "nothing" / "__init__.py"))
    monkeypatch.setattr(ensurepip, "_WHEEL_PKG_DIR", None)
    monkeypatch.setattr("engine.host.agent.environments.names_in", lambda directory: [])
    with pytest.raises(Exception, match="run provision, which installs it"):
        bundled_pip()


@pytest.mark.parametrize(
    ("check", "words"),
    [(["/bin/sh", "-c", "exit 3"], "said no (exit code 3)"), (["no-such-program"], "is not there: no-such-program")],
)
def test_a_check_that_says_no_ends_the_run(tree: Tree, check: list[str], words: str) -> None:
    result = deploy(tree, check=check)
    assert (result["status"], result["reason"]) == ("failed", "check_failed"), result
    assert words in result["sentence"]
    assert untouched(tree)


def test_a_check_sees_release_configuration_secrets_and_a_copy_of_the_data(tree: Tree) -> None:
    Path(tree.data, "bot.db").write_bytes(b"")
    script = 'cat "$1/requirements.txt" "$2/bot.json" >"$4"; ls "$3" >>"$4"; echo "$CREDENTIALS_DIRECTORY" >>"$4"'
    seen = Path(tree.root, "seen")
    check = ["/bin/sh", "-c", script, "sh", "{release}", "{config}", "{data}", str(seen)]
    result = deploy(tree, b"# nothing\n", check=check, databases=["bot.db"])
    assert result["status"] == "succeeded", result
    assert seen.read_text().splitlines() == ["# nothing", "{}bot.db", tree.secrets]
    assert [path.name for path in Path(tree.backups).iterdir() if path.name.startswith(".check")] == []


def test_a_check_that_said_yes_is_not_asked_again_of_the_same(tree: Tree) -> None:
    counted = Path(tree.root, "counted")
    check = [sys.executable, "-c", f"open({str(counted)!r}, 'a').write('x')"]
    assert deploy(tree, check=check)["status"] == "succeeded"
    assert deploy(tree, check=check, fence=4)["status"] == "succeeded"
    assert counted.read_text() == "x"
    assert deploy(tree, check=check, fence=5, secrets={})["status"] == "succeeded"
    assert counted.read_text() == "x"
    assert deploy(tree, check=[*check, "--again"], fence=6)["status"] == "succeeded"
    assert counted.read_text() == "xx"
