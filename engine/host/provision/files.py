"""Files and links that provisioning puts there, and takes away."""

from __future__ import annotations

import binascii
import difflib
import hashlib
import os
import shutil
import stat
import tempfile
from typing import List

from .accounts import as_account
from .live_release import live_release
from .machine import Change, Machine, Operation, group_id, set_rights, user_id, wanted_rights
from .paths import Refused, describe, place
from .server_units import OUR_UNITS
from .tools import call

LINES_SHOWN = 400


def op_file(machine: Machine, operation: Operation) -> Change:
    """A file with this content; where others may write, it is looked at and written as the account it is for.

    `before` a release: only while none is live in that tree; then it is the release's own business.
    """
    if operation.get("before") and live_release(operation["before"]) is not None:
        return "as the release has it", "as the release has it"
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
        beside = {name: binascii.a2b_base64(other) for name, other in operation["beside"].items()}
        for name, text in {**beside, os.path.basename(copy): content}.items():
            fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
            with os.fdopen(fd, "wb") as file:
                file.write(text)
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
