"""The proof that provisioning ends with: the account that deploys signs in, and may do what deployments need.

Where it may not, the server's own words say why: sshd's from its journal, sudo's as it says them.
"""

import re
import time
from collections.abc import Sequence

from deployments.core.sessions import open_bootstrap, open_session
from deployments.models import Server
from engine.commands.remote_command import RemoteCommand
from engine.host.agent.units import take_command
from engine.remote.bootstrap import Bootstrap
from engine.remote.errors import ProvisionFailed
from engine.remote.reports import Report
from engine.remote.sudo import run_as_root
from engine.ssh.errors import AuthenticationRefused
from engine.ssh.session import Session

_SSHD = ("-t", "sshd", "-t", "sshd-session")  # OpenSSH 9.8 and later sign in by a program of their own
_SLOW = 9.0  # s; a lookup that nobody answers takes ten (resolv.conf(5)), and the agent waits for a tool for fifteen
_AGAIN = "then provision again"
_USUAL = ".ssh/authorized_keys"
_CONFIGURATION = "in the server's sshd_config, `systemctl reload ssh`"


def prove_access(*, server: Server, application: str, reports: Sequence[Report], bootstrap: Bootstrap) -> None:
    """Sign in as deployments do and ask sudo; `bootstrap` is for asking why not. Raises ProvisionFailed."""
    try:
        fault = _sudo_fault(server, take_command(application))
    except AuthenticationRefused as error:
        with open_bootstrap(server, bootstrap) as session:
            words, hint = _why_not(session, user=server.user, sudo=bootstrap.sudo)
        fault = f"{server.user} cannot sign in there: {words or error.message}", hint
    if fault:
        raise ProvisionFailed(f"{server.name} was prepared, but {fault[0]}", reports=reports, hint=fault[1])


def _sudo_fault(server: Server, command: Sequence[str]) -> tuple[str, str] | None:
    """Why the account cannot deploy although it signs in, and what to do about it."""
    with open_session(server) as session:
        began = time.monotonic()
        answer = session.run(RemoteCommand(("/usr/bin/sudo", "-n", "-l", *command)), check=False, deadline=4 * _SLOW)
        took = time.monotonic() - began
    said = (answer.stderr + answer.stdout).decode(errors="replace").strip()[-300:]
    if answer.exit != 0:
        return f"{server.user} may not run what deployments need there: {said}", _sudo_hint(said)
    if " ".join(command) not in said:
        return (
            f"what {server.user} asks for is not run there; instead the server says: {said or 'nothing'}",
            f"Look for a ForceCommand that holds for {server.user} {_CONFIGURATION}, {_AGAIN}.",
        )
    if took > _SLOW:
        return (
            f"sudo needed {took:.0f} s there to say what {server.user} may do, and deployments do not wait that long.",
            "It may wait for a name server that does not answer: give /etc/hosts a line with the server's own name "
            f"(`127.0.1.1 NAME`, as `hostname` says it), or have /etc/resolv.conf name one that does, {_AGAIN}.",
        )
    return None


def _sudo_hint(said: str) -> str:
    if "must have a tty" in said:
        return f"Put 'Defaults requiretty' above '@includedir' in /etc/sudoers, or take it out, {_AGAIN}."
    return f"Have sudo read what provisioning wrote: add '@includedir /etc/sudoers.d' to /etc/sudoers, {_AGAIN}."


def _why_not(session: Session, *, user: str, sudo: bool) -> tuple[str, str]:
    """What sshd said of the account last, or where it looks for keys; and what to do about it."""

    def ask(*argv: str) -> str:
        return run_as_root(session, RemoteCommand(argv), sudo=sudo, check=False).stdout.decode(errors="replace")

    lines = ask("/usr/bin/journalctl", "-q", "--no-pager", "-o", "cat", "-n", "100", *_SSHD).splitlines()
    for line in reversed(lines):
        if f"User {user} from" in line:
            return line, f"Let {user} in (AllowUsers, AllowGroups) {_CONFIGURATION}, {_AGAIN}."
        if opened := re.search(r"bad ownership or modes for (?:file|directory) (/\S+)", line):
            return line, f"Run `chmod go-w {opened[1]}` on the server, {_AGAIN}."
    shown = ask("/usr/sbin/sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1")
    found = re.search(r"^authorizedkeysfile (.+)$", shown, re.MULTILINE)
    if found and _USUAL not in found[1].split():
        wanted = f"AuthorizedKeysFile {found[1]} {_USUAL}"
        return f"sshd reads keys from {found[1]}.", f"Write '{wanted}' {_CONFIGURATION}, {_AGAIN}."
    if re.search(r"^authenticationmethods (?!any$|publickey$)", shown, re.MULTILINE):
        return "", f"Allow publickey alone for {user} (AuthenticationMethods) {_CONFIGURATION}, {_AGAIN}."
    return "", "Look what sshd says on the server: `journalctl -t sshd`."
