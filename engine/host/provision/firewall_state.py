"""How the firewall is and how it will be, by the kernel's own word; and trials that take themselves back."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from typing import Any, Dict, List, Optional, Set

from .firewall import ports_listed, rules, rules_path, table_of
from .inventory import list_path
from .listeners import listeners, shut_out, sign_in_ports
from .ownership import RECORDS, roots_own
from .paths import Refused, place
from .tools import call, must

CONFIRMATION = 30
"""Seconds that new strict rules last unless somebody comes in by a new connection and says so."""
STRICT, OWN = "strict", "our own ports only"


class FirewallState:
    """The rules of an application: `loaded` in the kernel (None: none), and `wanted`, as the kernel would list them.

    `before` and `after` say in a few words how they are and will be; `wanted` is None where it could not be tried.
    """

    def __init__(self, operation: Dict[str, Any], sign_in: Set[int]) -> None:
        name = operation["name"]
        self.operation = operation
        self.sign_in = sign_in
        self.neighbours = _neighbours(name)
        self.text = rules(operation, sign_in | self.neighbours)
        self.loaded = loaded_table(name)
        self.wanted = as_listed(name, self.text)
        self.after = STRICT if operation["strict"] else OWN
        self.kept = roots_own(rules_path(name)) == self.text.encode()
        self.before = kind_of(self.loaded)
        if self.loaded is not None and self.differs:
            self.before += ", other rules"
        if self.loaded is not None and not self.kept:
            self.before += ", other rules at boot"

    @property
    def needs_trial(self) -> bool:
        """Whether the new rules may shut somebody out, and are not those that the kernel has already."""
        return self.after == STRICT and self.differs

    @property
    def differs(self) -> bool:
        """Whether the kernel has other rules; by the file that it loaded where rules cannot be compared."""
        if self.loaded is None or self.wanted is None:
            return self.loaded is None or not self.kept or kind_of(self.loaded) != self.after
        return self.wanted != self.loaded

    def note(self) -> str:
        """What the new rules mean for others, port by port."""
        private = ports_listed(self.operation["private"])
        allowed = ", ".join(self.operation["allowed"]) or "nobody"
        if self.operation["strict"]:
            opened = set(self.operation["public"]) | self.sign_in
            closed = shut_out(listeners(), opened | set(self.operation["private"]) | self.neighbours)
            said = "Open to everybody: %s. Listening now, and closed by it: %s." % (
                ports_listed(opened),
                ", ".join(str(listener) for listener in closed) or "nothing",
            )
            left = " Left to the rules of our other applications here: %s." % ports_listed(self.neighbours)
            return said + (left if self.neighbours else "")
        ours = "Only our own ports (%s) are closed, to all but %s." % (private, allowed)
        ended = "No other port is closed any more." if kind_of(self.loaded) == STRICT else ""
        return " ".join(words for words in (ours if private else "No port is closed.", ended) if words)


def looked_at(operation: Dict[str, Any]) -> FirewallState:
    """The firewall as it is. Raises Refused where the rules would shut out whoever signs in."""
    sockets = call(["systemctl", "show", "-p", "Listen", "ssh.socket", "sshd.socket"])[1]
    sign_in = sign_in_ports(listeners(), sockets)
    taken = sign_in & (set(operation["private"]) - set(operation["public"]))
    if taken:
        raise Refused("People sign in by port %s here. Give the application another port." % ports_listed(taken))
    if operation["strict"] and not sign_in:
        raise Refused("No sshd is seen to listen here, so strict rules could shut everybody out. Use --firewall own.")
    return FirewallState(operation, sign_in)


def _neighbours(name: str) -> Set[int]:
    """The ports of our other applications here, which have rules of their own."""
    ports: Set[int] = set()
    for path in glob.glob(list_path("*")):
        operations = json.loads(roots_own(path) or b"[]") if path != list_path(name) else []
        for operation in operations:
            if operation["op"] == "firewall":
                ports.update(operation["public"], operation["private"])
    return ports


def loaded_table(name: str) -> Optional[str]:
    """The kernel's rules of an application; None when there are none."""
    code, output = call(["nft", "list", "table", "inet", table_of(name)])
    return output if code == 0 else None


def as_listed(name: str, text: str) -> Optional[str]:
    """How the kernel would list these rules: loaded where nobody is, in a network of their own.

    None where that cannot be tried, because nft is not installed yet or no network can be made.
    """
    directory = tempfile.mkdtemp(prefix="provision-")
    try:
        path = os.path.join(directory, "rules.nft")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        script = 'nft -f "$1" && exec nft list table inet "$2"'
        code, output = call(["unshare", "--net", "sh", "-c", script, "sh", path, table_of(name)])
        return output if code == 0 else None
    finally:
        shutil.rmtree(directory)


def kind_of(listed: Optional[str]) -> str:
    """What rules as the kernel lists them do, in a few words."""
    if listed is None:
        return "no rules"
    return STRICT if "policy drop" in listed else OWN


def load_rules(name: str) -> None:
    """By the unit that loads them at boot, so that its state is the truth, too."""
    must(["systemctl", "daemon-reload"])
    must(["systemctl", "restart", "--", "%s-firewall.service" % name])
    if on_trial(name):
        os.unlink(_trial(name))


def on_trial(name: str) -> bool:
    """Whether strict rules were loaded that nobody has confirmed, whether or not they have taken themselves back."""
    return os.path.exists(_trial(name))


def try_rules(name: str, text: str) -> None:
    """Load strict rules that take themselves back; nothing that a boot reads is changed."""
    if _pending(name):
        raise Refused("Rules of another provisioning wait for their confirmation. Try again in %d s." % CONFIRMATION)
    with place(_trial(name), make=True) as where:
        fd = os.open(where.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=where.parent)
        with os.fdopen(fd, "w") as file:
            file.write(text)
    must(undo_command(name))
    must(["nft", "-f", _trial(name)])


def pass_trial(name: str) -> str:
    """The rules that are on trial, which from now on nothing takes back. Raises Refused when they have been."""
    text = (roots_own(_trial(name)) or b"").decode()
    pending = _pending(name)
    if pending:
        must(["systemctl", "stop", "--", _undo(name)])
    loaded = loaded_table(name)
    if not pending or loaded is None or as_listed(name, text) not in (loaded, None):
        raise Refused("The strict rules were taken back: nobody came in within %d s to confirm them." % CONFIRMATION)
    return text


def undo_command(name: str) -> List[str]:
    """Have systemd bring back the rules that a boot would load, or none, whatever becomes of the connection."""
    script = 'nft -f "$1" || nft delete table inet "$2"'
    return [
        *("systemd-run", "--quiet", "--collect", "--unit=%s-firewall-undo" % name, "--on-active=%d" % CONFIRMATION),
        *("--timer-property=AccuracySec=100ms", "/bin/sh", "-c", script, "sh", rules_path(name), table_of(name)),
    ]


def _pending(name: str) -> bool:
    return call(["systemctl", "is-active", "--quiet", "--", _undo(name)])[0] == 0


def _undo(name: str) -> str:
    return "%s-firewall-undo.timer" % name


def _trial(name: str) -> str:
    return "%s/%s.trial.nft" % (RECORDS, name)
