"""The provisioning interpreter: carries out idempotent operations, given as data, as root on a server.

Python >= 3.9, standard library alone; sent with the modules it imports as one file. It reads one JSON request from
standard input, {"protocol": 1, "plan": bool, "operations": [...]}, looks at how each thing is, changes what differs
(with "plan" it only says so) and answers with a JSON line per operation. All are planned before the first is done: what
can be refused is refused before anything has changed. What fails later ends it, and what was done stays done.

What has the name of something of ours and was not made by provisioning (see ownership) is refused, and no path leads
through a directory that others may write to (see paths).
"""

from __future__ import annotations

import binascii
import difflib
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import sys
import tempfile
import time
from typing import Any, Callable, Collection, Dict, List, Optional, Tuple

from .accounts import as_account
from .authorized_keys import allow
from .clearing import cleared
from .firewall import rules_path, table_of
from .firewall_state import load_rules, looked_at, on_trial, pass_trial, try_rules
from .looking import LOOK, kept_operations
from .ownership import DEPLOYING, Ours, ours
from .paths import DIRECTORY, Place, Refused, describe, moved_by_its_owner_alone, names_of, place
from .server_units import OUR_UNITS, known_units, state_directories
from .tools import call, must
from .unit_rules import BESIDE_A_RELEASE, name_faults, unit_faults
from .unit_values import Around

if sys.version_info < (3, 9):  # said in a sentence rather than as a SyntaxError
    sys.stdout.write(
        '{"kind": "report", "operation": "facts", "name": "Python", "state": "failed", "before": "", "after": "", '
        '"facts": {}, "sentence": "This server has Python %d.%d; 3.9 is the least. Install a newer Debian."}\n'
        % sys.version_info[:2]
    )
    sys.exit(1)

PROTOCOL = 1
APT_PATIENCE = 900.0  # s
LINES_SHOWN = 400
Operation = Dict[str, Any]
Change = Tuple[str, str]  # how it is, how it will be; equal when nothing is to do


class Machine:
    """This server, as the operations see and change it. `planned` collects what a plan would have made."""

    def __init__(self, plan: bool, operations: Optional[List[Operation]] = None) -> None:
        self.plan = plan
        self.operations = operations or []
        self.ours = Ours()
        self.difference: List[str] = []
        self.note = ""
        self.changed_paths: List[str] = []
        self.planned_users: List[str] = []
        self.planned_paths: List[str] = []


# ---------------------------------------------------------------------------------------------------------------------
# Owners and modes


def user_id(machine: Machine, name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        if machine.plan and name in machine.planned_users:
            return -1
        raise Refused("There is no user %s on this server." % name) from None


def group_id(machine: Machine, name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if machine.plan and name in machine.planned_users:
            return -1
        raise Refused("There is no group %s on this server." % name) from None


def wanted_rights(operation: Operation) -> str:
    return "%s:%s %04o" % (operation["owner"], operation["group"], operation["mode"])


def set_rights(machine: Machine, fd: int, operation: Operation) -> None:
    os.fchown(fd, user_id(machine, operation["owner"]), group_id(machine, operation["group"]))
    os.fchmod(fd, operation["mode"])  # after chown, which drops the setgid bit


# ---------------------------------------------------------------------------------------------------------------------
# The operations: each looks, and changes unless it is only a plan


def op_facts(machine: Machine, operation: Operation) -> Tuple[Change, Dict[str, Any]]:
    """What the machine is; refuses one that cannot carry what is to come."""
    facts: Dict[str, Any] = {
        "os": os_release(),
        "python": "%d.%d.%d" % sys.version_info[:3],
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
        "memory": memory(),
        "cpus": os.cpu_count(),
        "disk": disk("/opt"),
        "clock": time.time(),
        "time_synchronised": call(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])[1] == "yes",
        "init": os.path.basename(os.path.realpath("/proc/1/exe")) or "unknown",
        "address": os.environ.get("SSH_CONNECTION", "").split(" ")[2:3],
    }
    wanted = tuple(int(part) for part in operation["python"].split("."))
    if sys.version_info[: len(wanted)] < wanted:
        raise Refused(
            "This server has Python %d.%d, and %s or newer is needed. Upgrade to Debian 12 or newer."
            % (sys.version_info[0], sys.version_info[1], operation["python"])
        )
    if not os.path.isdir("/run/systemd/system"):
        raise Refused("This server does not run systemd, which starts and watches everything here.")
    if abs(facts["clock"] - operation["clock"]) > operation["clock_tolerance"]:
        raise Refused(
            "This server's clock differs from the portal's by %d s. Have both synchronised (timedatectl set-ntp true)."
            % abs(facts["clock"] - operation["clock"])
        )
    if facts["disk"]["free"] < operation["free_bytes"]:
        raise Refused(
            "%d MB are free below /opt, and %d MB are needed."
            % (facts["disk"]["free"] >> 20, operation["free_bytes"] >> 20)
        )
    return ("", ""), facts


def os_release() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            lines = dict(line.rstrip().partition("=")[::2] for line in file)
    except OSError:
        return "unknown"
    return str(lines.get("PRETTY_NAME", "unknown")).strip('"')


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def disk(path: str) -> Dict[str, int]:
    status = os.statvfs(path if os.path.isdir(path) else "/")
    return {"free": status.f_bavail * status.f_frsize, "total": status.f_blocks * status.f_frsize}


def op_package(machine: Machine, operation: Operation) -> Change:
    name = operation["name"]
    code, output = call(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name])
    installed, _, version = output.partition(" ")
    if code == 0 and installed == "installed":
        return version, version
    machine.ours.add("package", name)
    if not machine.plan:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "-q", name]
        if call(install, APT_PATIENCE)[0] != 0:
            must(["apt-get", "update", "-q"], APT_PATIENCE)
            must(install, APT_PATIENCE)
    return "not installed", "installed"


def op_user(machine: Machine, operation: Operation) -> Change:
    name, wanted = operation["name"], "shell %s, home %s" % (operation["shell"], operation["home"])
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        refuse_taken_group(machine, name)
        if os.path.lexists(operation["home"]) and not machine.ours.has("directory", operation["home"]):
            raise Refused("%s is there, but no account %s. Move it away first." % (operation["home"], name)) from None
        machine.planned_users.append(name)
        machine.ours.add("account", name)
        if not machine.plan:
            argv = ["useradd", "--user-group", "--shell", operation["shell"], "--home-dir", operation["home"]]
            argv += ["--system"] if operation["system"] else []
            argv += ["--create-home"] if operation["create_home"] else ["--no-create-home"]
            must([*argv, name])
        return "no such user", wanted
    machine.ours.refuse_foreign("account", name, "Rename or remove it (usermod --login, userdel).")
    machine.ours.add("account", name)
    before = "shell %s, home %s" % (found.pw_shell, found.pw_dir)
    if before != wanted and not machine.plan:
        must(["usermod", "--shell", operation["shell"], "--home", operation["home"], name])
    return before, wanted


def refuse_taken_group(machine: Machine, name: str) -> None:
    try:
        grp.getgrnam(name)
    except KeyError:
        return
    raise Refused("The group %s is there already and was not made by provisioning. Rename or remove it." % name)


def op_member(machine: Machine, operation: Operation) -> Change:
    user, group = operation["user"], operation["group"]
    group_id(machine, group)
    try:
        members = grp.getgrnam(group).gr_mem
    except KeyError:
        members = []
    if user in members:
        return "member", "member"
    user_id(machine, user)
    if not machine.plan:
        must(["usermod", "--append", "--groups", group, user])
    return "no member", "member"


def op_directory(machine: Machine, operation: Operation) -> Change:
    path, wanted = operation["path"], wanted_rights(operation)
    try:
        where = place(path)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if parent not in machine.planned_paths:
            raise Refused("%s does not exist, so %s cannot be made." % (parent, path)) from None
        machine.planned_paths.append(path)
        return "missing", wanted
    with where:
        if not where.exists():
            return make_directory(machine, where, operation), wanted
        status = where.status()
        if not stat.S_ISDIR(status.st_mode):
            raise Refused("%s is in the way: it should be a directory. Move it away first." % path)
        if where.trusted:
            machine.ours.refuse_foreign("directory", path, "Move it away, or give the application another name.")
            machine.ours.add("directory", path)
        before = describe(status)
        if before != wanted and not machine.plan:
            set_directory_rights(machine, where, operation)
        return before, wanted


def make_directory(machine: Machine, where: Place, operation: Operation) -> str:
    user_id(machine, operation["owner"])
    group_id(machine, operation["group"])
    machine.planned_paths.append(operation["path"])
    if where.trusted:
        machine.ours.add("directory", operation["path"])
    if not machine.plan:
        os.mkdir(where.name, 0o700, dir_fd=where.parent)
        set_directory_rights(machine, where, operation)
    return "missing"


def set_directory_rights(machine: Machine, where: Place, operation: Operation) -> None:
    """Of a directory that is ours: others may have moved one of theirs, or of somebody else's, to its place."""
    fd = os.open(where.name, DIRECTORY, dir_fd=where.parent)
    try:
        status = os.fstat(fd)
        owner = names_of(status)[0]
        moved = owner == "root" and not where.trusted and not moved_by_its_owner_alone(status)
        if owner not in ("root", DEPLOYING, operation["owner"], operation["group"], machine.ours.name) or moved:
            raise Refused(
                "%s belongs to %s, which provisioning did not do. Look who put it there, and move it away."
                % (operation["path"], owner)
            )
        set_rights(machine, fd, operation)
    finally:
        os.close(fd)


def op_file(machine: Machine, operation: Operation) -> Change:
    """A file with this content; where others may write, it is looked at and written as the account it is for."""
    try:
        with place(operation["path"]) as where:
            trusted = where.trusted
    except FileNotFoundError:
        trusted = True  # below a directory that is missing; place() makes none in others' directories
    if trusted:
        return put(machine, operation)
    if machine.plan and operation["owner"] in machine.planned_users:
        return "missing", rights_and_digest(operation)
    return tuple(as_account(operation["owner"], lambda: put(machine, operation)))


def rights_and_digest(operation: Operation) -> str:
    content = binascii.a2b_base64(operation["content"])
    return "sha256 %s, %s" % (hashlib.sha256(content).hexdigest()[:16], wanted_rights(operation))


def put(machine: Machine, operation: Operation) -> Change:
    path, content, after = operation["path"], binascii.a2b_base64(operation["content"]), rights_and_digest(operation)
    before, old = "missing", None
    try:
        fd = open_file(machine, path)
    except FileNotFoundError:
        pass
    else:
        with os.fdopen(fd, "rb") as file:
            old = file.read()
            before = "sha256 %s, %s" % (hashlib.sha256(old).hexdigest()[:16], describe(os.fstat(fd)))
    if before == after:
        return before, after
    if old != content:
        machine.changed_paths.append(path)
        if os.path.dirname(path) == OUR_UNITS:
            machine.difference = difference(old or b"", content)
        validate(operation, content)
    user_id(machine, operation["owner"])
    group_id(machine, operation["group"])
    if not machine.plan:
        put_file(machine, operation, content)
    return before, after


def difference(old: bytes, new: bytes, first: str = "installed", second: str = "of the release") -> List[str]:
    """How a unit file, or the firewall's rules, change, line by line."""
    before, after = (text.decode(errors="replace").splitlines() for text in (old, new))
    return list(difflib.unified_diff(before, after, first, second, lineterm="", n=1))[:LINES_SHOWN]


def open_file(machine: Machine, path: str) -> int:
    """The file that is there, to be read. Raises FileNotFoundError, and Refused for anything that is not ours."""
    with place(path) as where:
        try:
            fd = where.open(os.O_RDONLY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Refused("%s is in the way: %s. Move it away first." % (path, error.strerror)) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused("%s is in the way: it should be a file. Move it away first." % path)
        if where.trusted and not shipped(fd, path):
            machine.ours.refuse_foreign("file", path, "Move it away first.")
            machine.ours.add("file", path)
        return fd


def shipped(fd: int, path: str) -> bool:
    """Whether a file of a package's is still as the package brought it: nobody's work is lost."""
    package, _, named = call(["dpkg-query", "-S", path])[1].partition(": ")
    if named != path:
        return False
    known = call(["dpkg-query", "-W", "-f", "${Conffiles}\n", package])[1].split()
    with open(fd, "rb", closefd=False) as file:
        digest = hashlib.md5(file.read()).hexdigest()  # noqa: S324 - it is what dpkg keeps
    os.lseek(fd, 0, os.SEEK_SET)
    return any(pair == (path, digest) for pair in zip(known, known[1:]))  # noqa: RUF007 - newer than 3.9


def validate(operation: Operation, content: bytes) -> None:
    """Have the program that will read the file look at a copy first; "{}" in its arguments is the copy."""
    if not operation["validate"]:
        return
    directory = tempfile.mkdtemp(prefix="provision-")
    try:
        copy = os.path.join(directory, os.path.basename(operation["path"]))
        fd = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        argv = [word.replace("{}", copy) for word in operation["validate"]]
        code, output = call(argv)
        if code == 127:
            return  # the program comes with a package that a plan has not installed
        wrong = [line for line in output.splitlines() if not any(words in line for words in operation["tolerated"])]
        if code != 0 and (wrong or not output):
            said = " ".join(wrong).replace(copy, "it") or "exit code %d" % code
            raise Refused("%s would not be valid: %s" % (operation["path"], said[-500:]))
    finally:
        shutil.rmtree(directory)


def put_file(machine: Machine, operation: Operation, content: bytes) -> None:
    with place(operation["path"], make=True) as where:
        if where.trusted:
            machine.ours.add("file", operation["path"])
        temporary = ".provision-%d" % os.getpid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=where.parent)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                set_rights(machine, file.fileno(), operation)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, where.name, src_dir_fd=where.parent, dst_dir_fd=where.parent)
        except BaseException:
            os.unlink(temporary, dir_fd=where.parent)
            raise


def op_absent(machine: Machine, operation: Operation) -> Change:
    """A file that provisioning made once and that no longer has a purpose."""
    path = operation["path"]
    try:
        where = place(path)
    except FileNotFoundError:
        return "absent", "absent"
    with where:
        if not where.exists():
            machine.ours.drop("file", path)
            return "absent", "absent"
        if stat.S_ISDIR(where.status().st_mode):
            raise Refused("%s is a directory and is not deleted here." % path)
        if not where.trusted:
            raise Refused("%s lies where others than root may write, and is not deleted here." % path)
        machine.ours.refuse_foreign("file", path, "Look at it, and move it away if it is of no use.")
        machine.changed_paths.append(path)
        if not machine.plan:
            os.unlink(where.name, dir_fd=where.parent)
        machine.ours.drop("file", path)
    return "there", "absent"


def op_cleared(machine: Machine, operation: Operation) -> Change:
    """A directory that goes with everything in it, but for the directories in `keep`, disks mounted there, and the way
    to them; of a disk all that lies on it goes."""
    path = operation["path"]
    if os.path.lexists(path) and not os.path.islink(path):
        machine.ours.refuse_foreign("directory", path, "Nothing of it is deleted.")
    change = cleared(path, operation["keep"], machine.plan)
    if not os.path.lexists(path):
        machine.ours.drop("directory", path)
    return change


def op_link(machine: Machine, operation: Operation) -> Change:
    """A link in a directory of the account's own, looked at and made as that account."""
    owner = operation["owner"]
    if machine.plan and owner in machine.planned_users:
        return "missing", operation["target"]
    return as_account(owner, lambda: link(machine, operation)), operation["target"]


def link(machine: Machine, operation: Operation) -> str:
    path, target = operation["path"], operation["target"]
    try:
        where = place(path)
    except FileNotFoundError:
        if machine.plan:
            return "missing"
        raise
    with where:
        before = "missing"
        if where.exists():
            if not stat.S_ISLNK(where.status().st_mode):
                raise Refused("%s is in the way: it should be a link. Move it away first." % path)
            before = os.readlink(where.name, dir_fd=where.parent)
        if before != target and not machine.plan:
            temporary = "%s.provision-%d" % (where.name, os.getpid())
            os.symlink(target, temporary, dir_fd=where.parent)
            os.rename(temporary, where.name, src_dir_fd=where.parent, dst_dir_fd=where.parent)
    return before


def op_authorized_key(machine: Machine, operation: Operation) -> Change:
    """One line of ~user/.ssh/authorized_keys, known by its key; other people's lines stay as they are."""
    user, present = operation["user"], operation["present"]
    after = "allowed" if present else "not allowed"
    try:
        home = pwd.getpwnam(user).pw_dir
    except KeyError:
        if present:
            user_id(machine, user)
        return ("not allowed", after) if present else (after, after)
    machine.ours.refuse_foreign("account", user, "Its keys are not touched.")
    has = as_account(user, lambda: allow(home, operation["key"], present, machine.plan))
    return "allowed" if has else "not allowed", after


def op_ownership(machine: Machine, operation: Operation) -> Change:
    """What of this application is ours here; everything after it asks."""
    machine.ours = ours(operation["name"], machine.operations, machine.plan)
    return "known", "known"


def op_unit_check(machine: Machine, operation: Operation) -> Change:
    """No unit of a release is installed that says what it may not, or takes a name or directory of others."""
    name, units = operation["name"], operation["units"]
    known = known_units()
    for unit in [*units, *operation["more"]]:
        if unit in known and not machine.ours.has("file", OUR_UNITS + "/" + unit):
            raise Refused("%s is a unit of this server already (%s), and not ours. Rename yours." % (unit, known[unit]))
    for unit, content in units.items():
        around = Around(name, operation["runs_as"][unit], [*units, *operation["more"], *BESIDE_A_RELEASE])
        text = binascii.a2b_base64(content)
        for fault in [*name_faults(unit, name), *unit_faults(unit, text, around)]:
            raise Refused("%s %s. %s" % (unit, fault.wrong, fault.hint))
        for path in state_directories(text):
            refuse_foreign_owner(path, around.accounts)
    return "allowed", "allowed"


def refuse_foreign_owner(path: str, accounts: Collection[str]) -> None:
    """systemd gives such a directory, with all that is in it, to the unit's account."""
    try:
        owner = names_of(os.lstat(path))[0]
    except FileNotFoundError:
        return
    if owner not in accounts and not os.path.islink(path):
        raise Refused("%s is there already and belongs to %s. Give the unit another directory." % (path, owner))


def op_firewall(machine: Machine, operation: Operation) -> Change:
    """The kernel's rules, and the file that a boot loads them from. New strict rules only last once confirmed."""
    name, table = operation["name"], "inet " + table_of(operation["name"])
    state = looked_at(operation)
    if state.loaded is not None:
        machine.ours.refuse_foreign("table", table, "Give the application another name.")
    machine.ours.add("table", table)
    if state.before == state.after:
        return state.before, state.after
    machine.note = state.note()
    old, new = (state.loaded or "").encode(), (state.wanted or state.text).encode()
    machine.difference = difference(old, new, "loaded", "to be loaded")
    if not state.needs_trial:
        put(machine, rules_file(name, state.text))
    if not machine.plan:
        try_rules(name, state.text) if state.needs_trial else load_rules(name)
    return state.before, state.after


def rules_file(name: str, text: str) -> Operation:
    content = binascii.b2a_base64(text.encode(), newline=False).decode()
    rights = {"owner": "root", "group": "root", "mode": 0o644, "tolerated": []}
    return {"path": rules_path(name), "content": content, "validate": ["nft", "-c", "-f", "{}"], **rights}


def op_firewall_confirmed(machine: Machine, operation: Operation) -> Change:
    """Somebody came in by a new connection while strict rules were on trial: they stay, and a boot loads them."""
    if not machine.plan and not on_trial(operation["name"]):
        return "kept", "kept"  # the kernel had them already
    if not machine.plan:
        put(machine, rules_file(operation["name"], pass_trial(operation["name"])))
        load_rules(operation["name"])
    return "on trial", "kept"


def op_no_firewall(machine: Machine, operation: Operation) -> Change:
    """Our table goes, whatever state the unit that loaded it is in."""
    table = "inet " + table_of(operation["name"])
    if call(["nft", "list", "table", *table.split()])[0] != 0:
        machine.ours.drop("table", table)
        return "no rules", "no rules"
    machine.ours.refuse_foreign("table", table, "It is not deleted.")
    if not machine.plan:
        must(["nft", "delete", "table", *table.split()])
    machine.ours.drop("table", table)
    return "rules", "no rules"


def op_unit(machine: Machine, operation: Operation) -> Change:
    """A unit's place in the boot, and whether it runs; restarted when one of `restart_on` was changed just now."""
    name = operation["name"]
    changed = [path for path in operation["restart_on"] if path in machine.changed_paths]
    if not machine.plan and machine.changed_paths:
        must(["systemctl", "daemon-reload"])
    shown = unit_state(name)
    if shown["LoadState"] != "loaded" and not machine.plan:
        raise Refused("systemd does not know %s (%s)." % (name, shown["LoadState"]))
    before, after = [], []
    if operation["enabled"] is not None:
        before.append(shown["UnitFileState"] or "not installed")
        after.append("enabled" if operation["enabled"] else "disabled")
        if shown["UnitFileState"] == "static":
            after[-1] = "static"
        if before[-1] != after[-1] and not machine.plan:
            must(["systemctl", "enable" if operation["enabled"] else "disable", "--quiet", name])
    theirs = operation["package"] and not machine.ours.has("package", operation["package"])
    if operation["started"] is not None:
        running = shown["ActiveState"] in ("active", "activating")
        before.append("running" if running else "stopped")
        after.append("running" if operation["started"] else "stopped")
        if changed and running and operation["started"]:
            after[-1] = "running, restarted"
        if theirs and running and not operation["started"]:
            raise Refused("%s runs here, and was not installed by provisioning. Stop and disable it first." % name)
        if before[-1] != after[-1] and not machine.plan:
            verb = "stop" if not operation["started"] else "restart" if running else "start"
            must(["systemctl", verb, name])
    return ", ".join(before), ", ".join(after)


def op_ended(machine: Machine, operation: Operation) -> Change:
    """A unit that neither runs nor starts at boot; one that systemd does not know is as good."""
    name, shown = operation["name"], unit_state(operation["name"])
    files = [operation["ours_by"], "/etc/systemd/system/" + name]
    if shown["LoadState"] == "not-found" or not any(machine.ours.has("file", path) for path in files):
        if shown["FragmentPath"]:
            raise Refused("The unit %s was not made by provisioning, and is not ended." % name)
        return "ended", "ended"
    runs = shown["ActiveState"] not in ("inactive", "failed")
    starts = shown["UnitFileState"] in ("enabled", "enabled-runtime")
    if not machine.plan:
        if runs:
            must(["systemctl", "stop", name])
        if starts:
            must(["systemctl", "disable", "--quiet", name])
        call(["systemctl", "reset-failed", name])
    words = [word for word, true in (("running", runs), ("starts at boot", starts)) if true]
    return ", ".join(words) or "ended", "ended"


def unit_state(name: str) -> Dict[str, str]:
    output = must(["systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,FragmentPath", name])
    return {"UnitFileState": "", "FragmentPath": "", **dict(line.partition("=")[::2] for line in output.splitlines())}


OPERATIONS: Dict[str, Callable[[Machine, Operation], Any]] = {
    "facts": op_facts,
    "package": op_package,
    "user": op_user,
    "member": op_member,
    "directory": op_directory,
    "file": op_file,
    "absent": op_absent,
    "cleared": op_cleared,
    "link": op_link,
    "authorized_key": op_authorized_key,
    "ownership": op_ownership,
    "firewall": op_firewall,
    "firewall_confirmed": op_firewall_confirmed,
    "no_firewall": op_no_firewall,
    "unit_check": op_unit_check,
    "unit": op_unit,
    "ended": op_ended,
}


def carry_out(machine: Machine, operation: Operation) -> Dict[str, Any]:
    """One operation, and the report on it."""
    facts: Dict[str, Any] = {}
    before = after = ""
    problem: Optional[str] = None
    machine.difference, machine.note = [], ""
    try:
        change = OPERATIONS[operation["op"]](machine, operation)
        if operation["op"] == "facts":
            change, facts = change
        before, after = change
    except Refused as error:
        problem = str(error)
    except (OSError, KeyError, ValueError) as error:
        problem = "%s: %s" % (type(error).__name__, error)
    state = "failed" if problem else "ok" if before == after else "changed"
    return {
        "kind": "report",
        "operation": operation["op"],
        "name": operation["title"],
        "state": state,
        "sentence": problem or sentence(machine, operation, state),
        "before": before,
        "after": after,
        "facts": facts,
        "difference": machine.difference,
    }


def sentence(machine: Machine, operation: Operation, state: str) -> str:
    if state == "ok":
        return "%s: as it should be." % operation["title"]
    said = "%s: %s." % (operation["title"], "would be changed" if machine.plan else "changed")
    return "%s %s" % (said, machine.note) if machine.note else said


def main() -> None:
    """Read the request, carry it out, say so; or look at what was done before."""
    if sys.argv[1:2] == [LOOK]:
        look(sys.argv[2])
        return
    request = json.loads(sys.stdin.buffer.read())
    if request.get("protocol") != PROTOCOL:
        raise SystemExit("the request is not of protocol %d; update the portal" % PROTOCOL)
    if os.geteuid() != 0:
        raise SystemExit("provisioning needs root, or a bootstrap account that may use sudo without a password")
    os.umask(0o022)
    if not request["plan"]:
        rehearse(request["operations"])
    machine = Machine(bool(request["plan"]), request["operations"])
    for operation in request["operations"]:
        tell(carry_out(machine, operation))


def look(name: str) -> None:
    """Report what of an earlier provisioning's work is not so any more. Nothing is read from whoever asks."""
    try:
        operations = kept_operations(name)
    except Refused as error:
        raise SystemExit(str(error)) from None
    machine = Machine(True, operations)
    for operation in operations:
        report = carry_out(machine, operation)
        if report["state"] != "ok":
            say(report)
    say({"kind": "looked", "things": len(operations)})


def rehearse(operations: List[Operation]) -> None:
    """Plan everything first, so that a refusal leaves the server as it was."""
    machine = Machine(True, operations)
    for operation in operations:
        report = carry_out(machine, operation)
        if report["state"] == "failed":
            tell(report)


def say(record: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def tell(report: Dict[str, Any]) -> None:
    say(report)
    if report["state"] == "failed":
        raise SystemExit(1)


if __name__ == "__main__":
    main()
