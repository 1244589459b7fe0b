"""Becoming root by sudo, with the account's password where sudo asks for it: over standard input, and nowhere else."""

import re
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from engine.commands.agent import provision_command
from engine.commands.remote_command import RemoteCommand
from engine.remote.errors import SudoRefused
from engine.ssh.session import Completed, Session

_ENGLISH = ("/usr/bin/env", "LC_ALL=C")
_SUDO = "/usr/bin/sudo"
# -k: a password that was given a moment ago does not count, so that it is known whether the next one is read
_WITHOUT, _WITH = (_SUDO, "-n"), (_SUDO, "-k", "-S", "-p", "")
_ASKS = re.compile(r"(password|authentication) is required")
_WRONG = re.compile(r"incorrect (password|authentication) attempt|no password was provided|try again", re.IGNORECASE)
_SHOWN = 300  # characters of what sudo said


def as_root(session: Session, command: RemoteCommand, *, sudo: bool) -> tuple[RemoteCommand, tuple[bytes, ...]]:
    """The command as root runs it, and what its standard input has to begin with."""
    if not sudo:
        return command, ()
    if not session.sudo_password:
        return RemoteCommand((*_WITHOUT, *command.argv)), ()
    return RemoteCommand((*_WITH, *command.argv)), (f"{session.sudo_password}\n".encode(),)


def run_as_root(
    session: Session, command: RemoteCommand, *, sudo: bool, stdin: bytes | Iterable[bytes] = b"", **how: Any
) -> Completed:
    """As `Session.run`, which takes `how`, as root."""
    as_it_runs, first = as_root(session, command, sudo=sudo)
    return session.run(as_it_runs, stdin=chain(first, (stdin,) if isinstance(stdin, bytes) else stdin), **how)


def prove_sudo(session: Session, ask_password: Callable[[], str]) -> None:
    """Ask for the password where sudo asks for one, and have sudo say that it is right before anything else is sent.

    The command is what will be run, without anything for it to do. Raises SudoRefused.
    """
    without = _tried(session, _WITHOUT, "-k")
    if without.exit == 0 or not _ASKS.search(_said(without)):
        return  # whatever else sudo has against it, it says when there is something to do
    password = ask_password()
    answer = _tried(session, _WITH, stdin=f"{password}\n".encode())
    if answer.exit == 0:
        session.sudo_password = password
        return
    said, where = _said(answer), session.address
    if _WRONG.search(said):
        raise SudoRefused(
            f"sudo on {where.host} does not take this password of {where.user}, and ran nothing.",
            hint="Give the password of that account, which sudo asks for, not root's.",
        )
    raise SudoRefused(
        f"sudo on {where.host} does not let {where.user} become root, and ran nothing: {said[-_SHOWN:]}",
        hint="Name an account that may run everything as root with --bootstrap-user.",
    )


def _tried(session: Session, sudo: tuple[str, ...], *more: str, stdin: bytes = b"") -> Completed:
    command = RemoteCommand((*_ENGLISH, *sudo, *more, *provision_command().argv))
    return session.run(command, stdin=stdin, check=False, what="sudo")


def _said(done: Completed) -> str:
    return (done.stderr or done.stdout).decode(errors="replace").strip()
