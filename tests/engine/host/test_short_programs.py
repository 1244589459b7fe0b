"""What the short programs do, each as it travels: as an argument of `python3 -c`."""

import json
import pwd
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess, run
from types import SimpleNamespace
from typing import Any

import pytest

from engine.commands.agent import program

KEY, OTHER = "ssh-ed25519 AAAAnew portal", "ssh-ed25519 AAAAother somebody"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an account that somebody else's key opens, and a commented-out one of ours does not."""
    path = tmp_path / ".ssh" / "authorized_keys"
    path.parent.mkdir()
    path.write_text(f"{OTHER}\n# {KEY}\n")
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(tmp_path)))
    return path


def edit(monkeypatch: pytest.MonkeyPatch, verb: str, line: str) -> None:
    """The program in this process, which believes the account's home to be elsewhere."""
    monkeypatch.setattr(sys, "argv", ["-c", verb, line])
    with suppress(SystemExit):
        exec(compile(program("authorized_keys"), "authorized_keys", "exec"), {"__name__": "__main__"})


def test_a_key_is_let_in_once_and_taken_out_whole(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = keys.read_text()
    for verb in ("let_in", "let_in"):
        edit(monkeypatch, verb, KEY)
        assert keys.read_text() == f"{before}{KEY}\n"
    with keys.open("a") as file:
        file.write(f'from="10.0.0.1" {KEY}\n')
    for verb in ("take_out", "take_out"):
        edit(monkeypatch, verb, KEY)
        assert keys.read_text() == before
    assert capsys.readouterr().out.split() == ["changed", "unchanged", "changed", "unchanged"]
    assert keys.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in keys.parent.iterdir()] == ["authorized_keys"]


def check(tree: Path, *argv: str, timeout: int = 20, wanted: str = "1.0") -> CompletedProcess[str]:
    request: dict[str, Any] = {
        "role": "bot",
        "argv": list(argv),
        "config": {"bot.json": '{"a": 1}'},
        "credentials": {"password": "hunter2"},
    }
    command = [sys.executable, "-I", "-S", "-B", "-c", program("credential_check"), str(tree), str(timeout), wanted]
    return run(command, input=json.dumps(request), capture_output=True, text=True, check=False)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tree with a release in it."""
    (tmp_path / "releases" / "1.0").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1.0")
    return tmp_path


def test_a_check_sees_configuration_and_secrets_and_nothing_of_them_stays(release: Path) -> None:
    look = 'cat {config}/bot.json "$CREDENTIALS_DIRECTORY/password"; echo; pwd; echo at {config}; exit 3'
    done = check(release, "sh", "-c", look)
    assert done.returncode == 3, done
    first, where, at = done.stdout.splitlines()
    assert (first, where) == ('{"a": 1}hunter2', str((release / "releases/1.0").resolve()))
    assert not Path(at.removeprefix("at ")).exists()


def test_a_check_of_the_environment_comes_before_one_of_the_system(release: Path) -> None:
    own = release / "releases/1.0/.envs/bot/bin"
    own.mkdir(parents=True)
    (own / "true").write_text("#!/bin/sh\necho our own\n")
    (own / "true").chmod(0o755)
    assert check(release, "true").stdout == "our own\n"


def test_a_check_that_does_not_end_is_ended(release: Path) -> None:
    done = check(release, "sh", "-c", "echo {config} >&2; exec sleep 60", timeout=1)
    assert (done.returncode, done.stdout) == (124, "It did not end within 1 s.\n")


def test_another_release_than_the_one_asked_for_is_not_tried(release: Path) -> None:
    done = check(release, "true", wanted="2.0")
    assert done.returncode == 3
    assert done.stdout.endswith(" runs 1.0, not 2.0.\n")
