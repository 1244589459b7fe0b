"""The account that may become root on a server: the options for it, and its keys, which are not stored."""

import getpass
import os
import sys
from argparse import ArgumentParser
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import InvalidRequest
from engine.remote.bootstrap import Bootstrap
from engine.ssh.agent import agent_keys
from engine.ssh.keys import EncryptedKey, PrivateKey
from engine.ssh.signatures import PersonKey

USUAL_KEY = Path("~/.ssh/id_ed25519")


def bootstrap_arguments(parser: ArgumentParser) -> None:
    """`--bootstrap-user` and `--bootstrap-key`."""
    parser.add_argument("--bootstrap-user", default="root", help="root, or an account with sudo (default: root)")
    parser.add_argument(
        "--bootstrap-key",
        type=Path,
        help=f"its private key, or the .pub of one that an ssh-agent holds (default: {USUAL_KEY} and all keys of a "
        "running ssh-agent); it is not stored",
    )


def bootstrap_of(options: dict[str, Any]) -> Bootstrap:
    """The account that was named, with its keys. Raises InvalidRequest, UnusableKey."""
    user = options["bootstrap_user"]
    return Bootstrap(user, _keys(options["bootstrap_key"]), cache(lambda: _password_of(user)))


def _password_of(user: str) -> str:
    """What sudo asks for: a line of standard input, else what is typed on the terminal. Raises InvalidRequest."""
    password = ""
    if not sys.stdin.isatty():
        sys.stderr.write(f"sudo asks for the password of {user}; it is read from standard input.\n")
        password = sys.stdin.readline().removesuffix("\n")
    if not password and _has_terminal():
        password = getpass.getpass(f"Password of {user}, for sudo: ")
    if not password:
        raise InvalidRequest(
            f"sudo asks for the password of {user}, and standard input has none.",
            hint="Run it on a terminal, or give the password in a line on standard input.",
        )
    return password


def _keys(named: Path | None) -> tuple[PrivateKey, ...]:
    """The key that was named; without one those that need no question, and what the agent holds."""
    if named is not None:
        return (_key_in(named.expanduser()),)
    usual = USUAL_KEY.expanduser()
    held = _held()
    try:
        return (PrivateKey(usual.read_text()), *held)
    except (OSError, UnicodeDecodeError, EncryptedKey):
        return held or (_key_in(usual),)


def _held() -> tuple[PrivateKey, ...]:
    return tuple(agent_keys(os.environ.get("SSH_AUTH_SOCK", "")))


def _key_in(path: Path) -> PrivateKey:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"The bootstrap key {path} cannot be read ({getattr(error, 'strerror', 'it is no text')}).",
            hint="Name it with --bootstrap-key, or load one into an ssh-agent (ssh-add).",
        ) from error
    if path.suffix == ".pub":
        return _held_as(path, text)
    try:
        return PrivateKey(text)
    except EncryptedKey as error:
        if not _has_terminal():
            raise EncryptedKey(
                f"The bootstrap key {path} has a passphrase, and there is no terminal to ask for it on.",
                hint=f"Load it into an ssh-agent (`ssh-add {path}`), and give --bootstrap-key {path}.pub.",
            ) from error
    return PrivateKey(text, getpass.getpass(f"Passphrase of {path}: "))


def _held_as(path: Path, text: str) -> PrivateKey:
    public = str(PersonKey.parse(text))
    for key in _held():
        if key.public_line == public:
            return key
    raise InvalidRequest(
        f"No running ssh-agent holds the key of {path}.",
        hint=f"`ssh-add {path.with_suffix('')}` loads it; SSH_AUTH_SOCK says where the agent listens.",
    )


def _has_terminal() -> bool:
    """Whether getpass would ask a person; else it reads standard input, and shows what is typed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
