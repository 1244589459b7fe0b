"""What provisioning made on this server, by root's own record: accounts, directories, files, tables, packages.

Whatever has the name of something of ours and is not in the record belongs to somebody else, and is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import stat
from typing import Any, Dict, Iterable, List, Optional, Set

from .firewall import rules_path, table_of
from .paths import Refused, place
from .root_files import RootLock, put_root_file
from .unit_rules import BESIDE_A_RELEASE, generated_units
from .unit_values import PORTAL

RECORDS = "/var/lib/cytube-ops"
SUDOERS = "/etc/sudoers.d"
DEPLOYING = "rosey"
"""The account that deploys the first application of a server; others have one of their own (`own_account`)."""
_LONGEST_ACCOUNT = 32
OUR_SUDOERS = "# What deployments of %s need root for. Written by provision."
LARGEST_RECORD = 1 << 20  # bytes of a record, of sudoers


def own_account(name: str) -> str:
    """The account that deploys an application, and nothing else, on a server that holds others."""
    account = name + "-deploy"
    if len(account) <= _LONGEST_ACCOUNT:
        return account
    return "%s-%s-deploy" % (name[:19], hashlib.sha256(name.encode()).hexdigest()[:5])


def deploying_account(name: str) -> str:
    """Who deploys an application here, by root's own record."""
    own = own_account(name)
    return own if "account %s" % own in (recorded(name) or ()) else DEPLOYING


def unit_sudoers_path(name: str) -> str:
    """Where the commands for the units of what is live are granted; no application's name has an underscore."""
    return "%s/%s_units" % (SUDOERS, name)


class Ours:
    """What is ours of one application. `things` are sentences such as "account dice-bot" or "file /etc/…"."""

    def __init__(self, name: str = "", plan: bool = True) -> None:
        self.name = name
        self.plan = plan
        self.things: Set[str] = set()
        self.planned: Set[str] = set()

    def has(self, kind: str, name: str) -> bool:
        """Whether this is ours, or will be once what is planned is done."""
        return "%s %s" % (kind, name) in self.things | self.planned

    def refuse_foreign(self, kind: str, name: str, remedy: str) -> None:
        """Refuse what is there and not ours; call it when something is there."""
        if not self.has(kind, name):
            raise Refused("The %s %s is there already and was not made by provisioning. %s" % (kind, name, remedy))

    def add(self, kind: str, name: str) -> None:
        """This is ours from now on. Written down before it is made: what is made and not known would be nobody's."""
        thing = "%s %s" % (kind, name)
        if self.plan:
            self.planned.add(thing)
        elif thing not in self.things:
            self.save({*self.things, thing})

    def drop(self, kind: str, name: str) -> None:
        """This is gone; whoever takes the name next is not us."""
        thing = "%s %s" % (kind, name)
        if not self.plan and thing in self.things:
            self.save(self.things - {thing})

    def save(self, things: Set[str]) -> None:
        """Keep the record, on disk before anything it tells of is done; what another one of root's added stays."""
        added, dropped, self.things = things - self.things, self.things - things, things
        if not self.name:
            return
        path = "%s/%s.json" % (RECORDS, self.name)
        with RootLock(path + ".lock", "The record of what is ours here"):
            self.things = (recorded(self.name) or set()) - dropped | added
            put_root_file(path, json.dumps(sorted(self.things), indent=1).encode(), 0o600)


def recorded(name: str) -> Optional[Set[str]]:
    """What is ours of an application by root's own record; None when there is none."""
    content = roots_own("%s/%s.json" % (RECORDS, name))
    return None if content is None else set(json.loads(content))


def applications() -> List[str]:
    """Everything that provisioning put on this server, by name, as far as there are records."""
    try:
        return sorted(entry[: -len(".json")] for entry in os.listdir(RECORDS) if entry.endswith(".json"))
    except OSError:
        return []


def roots_own(path: str) -> Optional[bytes]:
    """The content of a file that only root can have put there; None when it is not there or is not such a file."""
    try:
        with place(path) as where:
            if not where.trusted:
                return None
            fd = where.open(os.O_RDONLY)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
            return None
        return file.read(LARGEST_RECORD)


def ours(name: str, operations: Iterable[Dict[str, Any]], plan: bool) -> Ours:
    """What is ours of the application `name`, as recorded, or as an earlier provisioning left it without a record."""
    found = Ours(name, plan)
    known = recorded(name)
    if known is not None:
        found.things = known
    elif _provisioned_before_records(name, operations):
        taken = _left_by(name, operations)
        found.planned = taken if plan else set()
        if not plan:
            found.save(taken)
    if _deploys_for_others():
        found.planned.add("account %s" % DEPLOYING)
    return found


def _provisioned_before_records(name: str, operations: Iterable[Dict[str, Any]]) -> bool:
    """Root's sudoers say so; or, after it was taken out of service, the tree and its two accounts do."""
    if _sudo_lines(name):
        return True
    try:
        tree, deploying = os.lstat("/opt/" + name), pwd.getpwnam(DEPLOYING)
        account = pwd.getpwnam(name)
    except (OSError, KeyError):
        return False
    return _has_shape(account, name) and stat.S_ISDIR(tree.st_mode) and tree.st_uid == deploying.pw_uid


def _sudo_lines(name: str) -> List[str]:
    lines = (roots_own("%s/%s" % (SUDOERS, name)) or b"").decode(errors="replace").splitlines()
    units = (roots_own(unit_sudoers_path(name)) or b"").decode(errors="replace").splitlines()
    return lines + units if lines[:1] == [OUR_SUDOERS % name] else []


def _left_by(name: str, operations: Iterable[Dict[str, Any]]) -> Set[str]:
    """What of these operations' things lies there in the shape that provisioning gave it."""
    units = {line.rpartition(" ")[2] for line in _sudo_lines(name)}
    accounts = [account.pw_name for account in pwd.getpwall() if _has_shape(account, name)]
    things = {"account %s" % account for account in accounts}
    if PORTAL in accounts:
        things.add("directory /etc/%s" % name)
    for operation in operations:
        if operation["op"] in ("directory", "cleared") and os.path.isdir(operation["path"]):
            things.add("directory %s" % operation["path"])
        elif operation["op"] in ("file", "absent") and roots_own(operation["path"]) is not None:
            unit = operation["path"].rpartition("/")[2]
            if not _is_unit(operation["path"]) or unit in units or _always_ours(name, unit):
                things.add("file %s" % operation["path"])
        elif operation["op"] in ("firewall", "no_firewall") and roots_own(rules_path(name)) is not None:
            things |= {"table inet %s" % table_of(name), "file %s" % rules_path(name)}
    return things


def _is_unit(path: str) -> bool:
    return os.path.dirname(path) == "/etc/systemd/system"


def _always_ours(name: str, unit: str) -> bool:
    return unit in (*generated_units(name), *BESIDE_A_RELEASE)


def _has_shape(account: pwd.struct_passwd, name: str) -> bool:
    """Whether provisioning made it: the deploying account, or one that runs something of the application's tree."""
    if account.pw_name == DEPLOYING:
        return account.pw_dir == "/home/" + DEPLOYING
    return account.pw_dir == "/opt/" + name and account.pw_shell.endswith("/nologin") and account.pw_uid < 1000


def _deploys_for_others() -> bool:
    """Whether provisioning made the deploying account for another application of this server."""
    if any("account %s" % DEPLOYING in (recorded(name) or ()) for name in applications()):
        return True
    names = [name for name in os.listdir(SUDOERS) if re.fullmatch("[a-z][a-z0-9-]*", name)]
    return any(_sudo_lines(name) for name in names)
