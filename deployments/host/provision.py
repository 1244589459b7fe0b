#!/usr/bin/env python3
"""The provisioning interpreter: carries out idempotent operations, given as data, as root on a server.

One file, Python >= 3.9, standard library alone. It reads one JSON request from standard input,
{"protocol": 1, "plan": bool, "operations": [...]}, looks at how each thing is, changes what differs (with "plan" it
only says so) and answers with a JSON line per operation. The first that fails ends it; what was done stays done.

Errors: Refused    an operation cannot be done, and why
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 9):  # said in a sentence rather than as a SyntaxError
    sys.stdout.write(
        '{"kind": "report", "operation": "facts", "name": "Python", "state": "failed", "before": "", "after": "", '
        '"facts": {}, "sentence": "This server has Python %d.%d; 3.9 is the least. Install a newer Debian."}\n'
        % sys.version_info[:2]
    )
    sys.exit(1)

import binascii
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

PROTOCOL = 1
TOOL_PATIENCE = 120.0  # s for any program but apt
APT_PATIENCE = 900.0  # s
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}

Operation = Dict[str, Any]
Change = Tuple[str, str]  # how it is, how it will be; equal when nothing is to do


class Refused(Exception):
    """An operation cannot be done; the text is the sentence a person reads."""


class Machine:
    """This server, as the operations see and change it. `planned` collects what a plan would have made."""

    def __init__(self, plan: bool) -> None:
        self.plan = plan
        self.changed_paths: List[str] = []
        self.planned_users: List[str] = []
        self.planned_paths: List[str] = []


def call(argv: List[str], patience: float = TOOL_PATIENCE) -> Tuple[int, str]:
    """Exit code and output of a program; 127 when it is not installed, 124 when it takes too long."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            timeout=patience,
            check=False,
        )
    except FileNotFoundError:
        return 127, "%s is not installed" % argv[0]
    except subprocess.TimeoutExpired:
        return 124, "%s did not end within %d s" % (argv[0], patience)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def must(argv: List[str], patience: float = TOOL_PATIENCE) -> str:
    code, output = call(argv, patience)
    if code != 0:
        raise Refused("'%s' failed: %s" % (" ".join(argv), output[-500:] or "exit code %d" % code))
    return output


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


def describe(status: os.stat_result) -> str:
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return "%s:%s %04o" % (owner, group, stat.S_IMODE(status.st_mode))


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
        machine.planned_users.append(name)
        if not machine.plan:
            argv = ["useradd", "--user-group", "--shell", operation["shell"], "--home-dir", operation["home"]]
            argv += ["--system"] if operation["system"] else []
            argv += ["--create-home"] if operation["create_home"] else ["--no-create-home"]
            must([*argv, name])
        return "no such user", wanted
    before = "shell %s, home %s" % (found.pw_shell, found.pw_dir)
    if before != wanted and not machine.plan:
        must(["usermod", "--shell", operation["shell"], "--home", operation["home"], name])
    return before, wanted


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
        status = os.lstat(path)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent) and parent not in machine.planned_paths:
            raise Refused("%s does not exist, so %s cannot be made." % (parent, path)) from None
        machine.planned_paths.append(path)
        if not machine.plan:
            os.mkdir(path, 0o700)
            apply_rights(machine, path, operation)
        else:
            user_id(machine, operation["owner"])
            group_id(machine, operation["group"])
        return "missing", wanted
    if not stat.S_ISDIR(status.st_mode):
        raise Refused("%s is in the way: it should be a directory. Move it away first." % path)
    before = describe(status)
    if before != wanted and not machine.plan:
        apply_rights(machine, path, operation)
    return before, wanted


def apply_rights(machine: Machine, path: str, operation: Operation) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        set_rights(machine, fd, operation)
    finally:
        os.close(fd)


def op_file(machine: Machine, operation: Operation) -> Change:
    path, content = operation["path"], binascii.a2b_base64(operation["content"])
    after = "sha256 %s, %s" % (hashlib.sha256(content).hexdigest()[:16], wanted_rights(operation))
    before, old = "missing", None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Refused("%s is in the way: %s. Move it away first." % (path, error.strerror)) from None
    else:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise Refused("%s is in the way: it should be a file. Move it away first." % path)
        with os.fdopen(fd, "rb") as file:
            old = file.read()
            before = "sha256 %s, %s" % (hashlib.sha256(old).hexdigest()[:16], describe(status))
    if before == after:
        return before, after
    if old != content:
        machine.changed_paths.append(path)
        validate(operation, content)
    user_id(machine, operation["owner"])
    group_id(machine, operation["group"])
    if not machine.plan:
        put_file(machine, operation, content)
    return before, after


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
    path = operation["path"]
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = os.path.join(os.path.dirname(path), ".provision-%d" % os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            set_rights(machine, file.fileno(), operation)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def op_absent(machine: Machine, operation: Operation) -> Change:
    """A file that provisioning made once and that no longer has a purpose."""
    path = operation["path"]
    if not os.path.lexists(path):
        return "absent", "absent"
    if os.path.isdir(path) and not os.path.islink(path):
        raise Refused("%s is a directory and is not deleted here." % path)
    machine.changed_paths.append(path)
    if not machine.plan:
        os.unlink(path)
    return "there", "absent"


def op_cleared(machine: Machine, operation: Operation) -> Change:
    """A directory that goes with everything in it, but for the directories in `keep`, disks mounted there, and the way
    to them; of a disk all that lies on it goes."""
    path, keep = operation["path"], [kept for kept in operation["keep"] if os.path.isdir(kept)]
    if os.path.islink(path):
        raise Refused("%s is a link and is not followed here." % path)
    disks = [disk for disk in mount_points() if within(disk, path)]
    gone = list(outermost(path, keep, disks))
    if not machine.plan:
        for name in gone:
            if os.path.isdir(name) and not os.path.islink(name):
                shutil.rmtree(name)
            else:
                os.unlink(name)
    stays = [kept for kept in keep if within(kept, path)] + ["the empty disk %s" % disk for disk in disks]
    after = "kept: %s" % ", ".join(stays) if stays else "absent"
    return ("%d entries to remove" % len(gone) if gone else after), after


def mount_points() -> List[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split()[4] for line in file]


def within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def outermost(path: str, keep: List[str], disks: List[str]) -> Iterator[str]:
    """The fewest files and directories that hold everything at `path` but what is kept, and disks themselves."""
    if path in keep or not os.path.lexists(path):
        return
    if not any(within(stays, path) for stays in keep + disks):
        yield path
        return
    for name in sorted(os.listdir(path)):
        yield from outermost(os.path.join(path, name), keep, disks)


def op_link(machine: Machine, operation: Operation) -> Change:
    path, target = operation["path"], operation["target"]
    before = os.readlink(path) if os.path.islink(path) else "missing"
    if before == "missing" and os.path.lexists(path):
        raise Refused("%s is in the way: it should be a link. Move it away first." % path)
    if before != target and not machine.plan:
        temporary = "%s.provision-%d" % (path, os.getpid())
        os.symlink(target, temporary)
        os.lchown(temporary, user_id(machine, operation["owner"]), group_id(machine, operation["group"]))
        os.rename(temporary, path)
    return before, target


def op_authorized_key(machine: Machine, operation: Operation) -> Change:
    """One line of ~user/.ssh/authorized_keys, known by its key; other people's lines stay as they are."""
    user, line, present = operation["user"], operation["key"], operation["present"]
    after = "allowed" if present else "not allowed"
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        user_id(machine, user)
        return "not allowed", after
    directory = os.path.join(account.pw_dir, ".ssh")
    path = os.path.join(directory, "authorized_keys")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        lines = []
    blob = line.split()[1]
    ours = [old for old in lines if blob in old.split() and not old.lstrip().startswith("#")]
    has = bool(ours)
    if has == present:
        return after, after
    if not machine.plan:
        kept = [old for old in lines if old not in ours] + ([line] if present else [])
        if not os.path.isdir(directory):
            os.mkdir(directory, 0o700)
        os.chown(directory, account.pw_uid, account.pw_gid)
        os.chmod(directory, 0o700)
        rights = {"path": path, "owner": user, "group": grp.getgrgid(account.pw_gid).gr_name, "mode": 0o600}
        put_file(machine, rights, "".join(old + "\n" for old in kept).encode(errors="surrogateescape"))
    return "allowed" if has else "not allowed", after


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
    if operation["started"] is not None:
        running = shown["ActiveState"] in ("active", "activating")
        before.append("running" if running else "stopped")
        after.append("running" if operation["started"] else "stopped")
        if changed and running and operation["started"]:
            after[-1] = "running, restarted"
        if before[-1] != after[-1] and not machine.plan:
            verb = "stop" if not operation["started"] else "restart" if running else "start"
            must(["systemctl", verb, name])
    return ", ".join(before), ", ".join(after)


def op_ended(machine: Machine, operation: Operation) -> Change:
    """A unit that neither runs nor starts at boot; one that systemd does not know is as good."""
    name, shown = operation["name"], unit_state(operation["name"])
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
    output = must(["systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState", name])
    return {"UnitFileState": "", **dict(line.partition("=")[::2] for line in output.splitlines())}


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
    "unit": op_unit,
    "ended": op_ended,
}


def carry_out(machine: Machine, operation: Operation) -> Dict[str, Any]:
    """One operation, and the report on it."""
    facts: Dict[str, Any] = {}
    before = after = ""
    problem: Optional[str] = None
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
    }


def sentence(machine: Machine, operation: Operation, state: str) -> str:
    if state == "ok":
        return "%s: as it should be." % operation["title"]
    return "%s: %s." % (operation["title"], "would be changed" if machine.plan else "changed")


def main() -> None:
    """Read the request, carry it out, say so."""
    request = json.loads(sys.stdin.buffer.read())
    if request.get("protocol") != PROTOCOL:
        raise SystemExit("the request is not of protocol %d; update the portal" % PROTOCOL)
    if os.geteuid() != 0:
        raise SystemExit("provisioning needs root, or a bootstrap account that may use sudo without a password")
    os.umask(0o022)
    machine = Machine(bool(request["plan"]))
    for operation in request["operations"]:
        report = carry_out(machine, operation)
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
        if report["state"] == "failed":
            raise SystemExit(1)


if __name__ == "__main__":
    main()
