"""Working as another account: what lies where that account may write is read and written with its rights alone."""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import time
from typing import Any, Callable

from .paths import Refused

LONGEST = 60.0  # s; a file system of the account's own may never answer
LARGEST_ANSWER = 1 << 20  # bytes of an answer


def as_account(name: str, work: Callable[[], Any]) -> Any:
    """What `work` returns (anything JSON can say), done by a process that has this account's rights and no others.

    Raises Refused, with the sentence of the one that `work` raised.
    """
    account = pwd.getpwnam(name)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(account, work, writing)
    os.close(writing)
    try:
        answer = _answer(reading, time.monotonic() + LONGEST)
    finally:
        os.close(reading)
        try:
            os.kill(child, signal.SIGKILL)  # it has answered, or never will
        finally:
            os.waitpid(child, 0)
    if answer is None:
        raise Refused("What was to be done as %s did not end within %d s." % (name, LONGEST))
    if "refused" in answer:
        raise Refused(str(answer["refused"]))
    return answer["value"]


def _work(account: pwd.struct_passwd, work: Callable[[], Any], writing: int) -> None:
    try:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
        os.chdir("/")
        answer = {"value": work()}
    except Refused as error:
        answer = {"refused": str(error)}
    except BaseException as error:  # noqa: BLE001 - it is told, by the parent
        answer = {"refused": "%s: %s" % (type(error).__name__, error)}
    try:
        os.write(writing, json.dumps(answer).encode() + b"\n")
    finally:
        os._exit(0)


def _answer(reading: int, ends: float) -> Any:
    """The child's line; None when there was none in time."""
    said = b""
    while not said.endswith(b"\n") and len(said) < LARGEST_ANSWER:
        if not select.select([reading], [], [], max(0.0, ends - time.monotonic()))[0]:
            return None
        piece = os.read(reading, 65536)
        if not piece:
            return {"refused": "The process that worked as this account was ended by somebody."}
        said += piece
    return json.loads(said)
