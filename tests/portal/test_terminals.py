"""What a person does at a terminal is no traceback: `| head`, Ctrl-D, Ctrl-C, a database that is away."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.portal.processes import without_settings
from tests.workflows.portals import ROOT


@pytest.fixture
def portal(tmp_path: Path) -> dict[str, str]:
    """The environment of a portal that nobody has used yet; what its programs print is buffered, as at a terminal."""
    kept = without_settings()
    kept.pop("PYTHONUNBUFFERED", None)
    return kept | {"PORTAL_STATE_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}


def start(portal: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=portal, stdin=pipe, stdout=pipe, stderr=pipe
    )


@pytest.mark.parametrize("arguments", [["help"], ["deploy", "--help"], ["diffsettings"]])
def test_output_that_is_read_no_further_ends_it_quietly(portal: dict[str, str], arguments: list[str]) -> None:
    with start(portal, *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(60), process.stderr.read().decode()) == (128 + signal.SIGPIPE, "")


def test_a_prompt_at_which_nothing_is_typed_is_one_sentence(portal: dict[str, str]) -> None:
    asking = f"{sys.executable} manage.py shell --command 'input()'"
    done = subprocess.run(
        asking, shell=True, cwd=ROOT, env=portal, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("Nothing was typed")


def test_ctrl_c_is_one_sentence(portal: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--command", "import signal, os; os.kill(os.getpid(), signal.SIGINT)"],
        cwd=ROOT,
        env=portal,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (130, "Broken off.\n")


@pytest.mark.parametrize("command", [["environments", "list"], ["migrate"], ["changepassword", "alice"]])
def test_a_database_that_is_away_is_one_sentence(portal: dict[str, str], command: list[str]) -> None:
    keys = {"PORTAL_SECRET_KEY": "k" * 60, "PORTAL_ENCRYPTION_KEYS": Fernet.generate_key().decode()}
    away = portal | keys | {"DATABASE_URL": "postgres://portal:hidden@127.0.0.1:9/portal"}
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=away, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The portal's database does not answer (")
    assert done.stderr.endswith("then run this again. [ops-database-away]\n")
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr
