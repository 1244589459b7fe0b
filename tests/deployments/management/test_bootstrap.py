"""Which keys the account that may become root is tried with, and when its passphrase is asked for."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.management import bootstrap
from engine.errors import InvalidRequest
from engine.ssh.keys import EncryptedKey
from tests.engine.ssh.test_session import agent, load, made

__all__ = ["agent"]

SCRIPT = """
import sys
from pathlib import Path
from deployments.management.bootstrap import bootstrap_of
from engine.errors import PortalError
try:
    named = Path(sys.argv[1]) if sys.argv[1:] else None
    print(*(key.fingerprint for key in bootstrap_of({"bootstrap_user": "root", "bootstrap_key": named}).keys))
except PortalError as error:
    print(error.reason)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def keys(named: Path | None = None) -> list[str]:
    found = bootstrap.bootstrap_of({"bootstrap_user": "root", "bootstrap_key": named})
    return [key.public_line for key in found.keys]


def public(path: Path) -> str:
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def encrypted(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", str(path)], check=True)
    return path


def unlocked(tmp_path: Path, path: Path) -> Path:
    """The same key as an agent gets it: without its passphrase."""
    copy = tmp_path / "unlocked"
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "phrase", "-N", "", "-f", str(copy)], check=True, capture_output=True
    )
    return copy


def at_a_terminal(typed: str, *arguments: str, script: str = SCRIPT) -> str:
    """What a process says that has a terminal on which `typed` is answered to what it asks."""
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [sys.executable, "-c", script, *arguments])
    said = b""
    try:
        while True:
            said += os.read(terminal, 1024)
            if typed and said.endswith(b": "):
                os.write(terminal, f"{typed}\n".encode())
                typed = ""
    except OSError:  # it has ended
        os.waitpid(child, 0)
    os.close(terminal)
    return said.decode()


def test_without_a_name_it_is_the_usual_file_and_what_the_agent_holds(
    home: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match=r"id_ed25519 cannot be read.*ssh-add"):
        keys()
    usual, other = made(home / ".ssh/id_ed25519", "-t", "ed25519"), made(home / "other", "-t", "ecdsa")
    assert keys() == [public(usual)]
    load(agent, other)
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    assert keys() == [public(usual), public(other)]
    assert keys(usual) == [public(usual)]
    assert keys(other.with_suffix(".pub")) == [public(other)]
    with pytest.raises(InvalidRequest, match=r"No running ssh-agent holds the key.*ssh-add"):
        keys(usual.with_suffix(".pub"))


def test_an_encrypted_key_that_the_agent_holds_is_not_asked_for(
    home: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = encrypted(home / ".ssh/id_ed25519")
    load(agent, unlocked(home, usual))
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    assert keys() == [public(usual)]
    assert keys(usual.with_suffix(".pub")) == [public(usual)]


def test_without_a_terminal_the_way_out_is_said(home: Path) -> None:
    path = encrypted(home / "key")
    # a session of its own has no terminal, whatever the tests were started from
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("error.reason", "error"), str(path)],
        input=b"phrase\n",
        capture_output=True,
        start_new_session=True,
        check=True,
    )
    assert b"no terminal to ask for it on. Load it into an ssh-agent" in done.stdout
    assert done.stderr == b""


def test_on_a_terminal_the_passphrase_is_asked_for_and_not_shown(home: Path) -> None:
    path = encrypted(home / "key")
    said = at_a_terminal("phrase", str(path))
    assert said.startswith(f"Passphrase of {path}: ")
    assert "SHA256:" in said
    assert "phrase\r" not in said.partition(": ")[2]
    assert EncryptedKey.reason in at_a_terminal("wrong", str(path))


PASSWORD = """
from deployments.management.bootstrap import bootstrap_of
from engine.errors import PortalError
try:
    known = bootstrap_of({"bootstrap_user": "admin", "bootstrap_key": None})
    print(repr(known.ask_password()), known.ask_password() == known.ask_password())
except PortalError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"two words\nmore\n", "'two words' True"),
        (b"", "sudo asks for the password of admin, and standard input has none"),
    ],
)
def test_the_password_of_sudo_is_a_line_of_standard_input(home: Path, given: bytes, said: str) -> None:
    made(home / ".ssh/id_ed25519", "-t", "ed25519")
    done = subprocess.run(
        [sys.executable, "-c", PASSWORD], input=given, capture_output=True, start_new_session=True, check=True
    )
    assert done.stdout.decode().startswith(said)
    assert b"two words" not in done.stderr


def test_the_password_of_sudo_is_asked_for_on_a_terminal(home: Path) -> None:
    made(home / ".ssh/id_ed25519", "-t", "ed25519")
    said = at_a_terminal("two words", script=PASSWORD)
    assert said.startswith("Password of admin, for sudo: \r\n'two words' True")
