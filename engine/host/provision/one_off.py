"""One command of an application's, as its account and with what one of its units is given: `<name>-units run`.

The deploying account says which, by one line of JSON on standard input, and holds that input open for as long as the
command may run. It could have any unit of a release run it, so nothing is granted by this; root takes the account and
the surroundings from the unit that it took over itself. What the command prints goes to standard output, how it ended
is one line of JSON on standard error.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from typing import Any, Dict, List, NamedTuple

from .ownership import RECORDS, roots_own
from .paths import Refused
from .root_files import RootLock
from .server_units import OUR_UNITS
from .switching import SYSTEMCTL, hold_missing, record
from .tools import ENVIRONMENT, call
from .unit_bounds import ALWAYS_HELD, ENFORCED, held, surroundings
from .unit_checks import refuse_taken_account
from .unit_rules import ROLE_ACCOUNTS, accounts_of, one_off_unit

LARGEST_REQUEST = 1 << 16  # bytes
LONGEST_COMMAND = 7200.0  # s
LAST_SECONDS = 5  # between "end" and being killed
_RUN_IN = re.compile(r"current|releases/[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_RUN_AS = re.compile(r"[a-z]{1,20}")
_BY_SIGNAL = ("2", "3")  # CLD_KILLED, CLD_DUMPED of waitid(2)
_PROGRAMS = "/usr/local/bin:/usr/bin:/bin"


class Asked(NamedTuple):
    """What to run. Without a `unit`, as the application's account alone; without words, nothing is run.

    With `apart` its errors come on standard error, before our line. So many bytes of `input` follow the request.
    """

    argv: List[str]
    unit: str
    role: str
    directory: str
    seconds: float
    apart: bool
    input: int


def run(name: str) -> int:
    """Run what standard input says, once nothing of this kind runs there any more; returns its exit code."""
    request = read_request(_line())
    with RootLock("%s/%s.one-off.lock" % (RECORDS, name), "A command of %s" % name):
        call([SYSTEMCTL, "stop", "--", one_off_unit(name)])  # of somebody who was killed before he could
        call([SYSTEMCTL, "reset-failed", "--", one_off_unit(name)])
        if not request.argv:
            sys.stderr.write(json.dumps({"result": "success", "code": 0}) + "\n")
            return 0
        argv = systemd_run(name, request)
        given = subprocess.PIPE if request.input else subprocess.DEVNULL
        errors = sys.stderr if request.apart else sys.stdout
        process = subprocess.Popen(argv, stdin=given, stderr=errors, env=ENVIRONMENT)
        return _tell(name, process, _held(name, process, request.input))


def read_request(line: bytes) -> Asked:
    """The request, every word of it looked at. Raises Refused."""
    try:
        told: Dict[str, Any] = json.loads(line)
        request = Asked(
            [str(word) for word in told["argv"]],
            str(told["unit"]),
            str(told["role"]),
            str(told["directory"]),
            float(told["seconds"]),
            bool(told.get("apart", False)),
            int(told.get("input", 0)),
        )
        for word in request.argv:
            os.fsencode(word)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Refused("The request for a command cannot be read. Update the portal, or run provision.") from None
    proper = _RUN_IN.fullmatch(request.directory) and _RUN_AS.fullmatch(request.role) and request.seconds > 0
    proper = proper and request.input >= 0
    if not proper or any("\0" in word for word in request.argv):
        raise Refused("The request for a command names a directory, a role or a time that is none.")
    return request


def systemd_run(name: str, request: Asked) -> List[str]:
    """The line by which systemd runs it: a service of its own, whose processes all end with it."""
    root = "/opt/%s" % name
    own = "%s/%s/.envs/%s/bin" % (root, request.directory, request.role)
    properties = ["Environment=PATH=%s:%s" % (own, _PROGRAMS)]
    properties += _of_unit(name, request) if request.unit else ["User=%s" % name, "Group=%s" % name, "UMask=0007"]
    _refuse_another(name, request, properties)
    properties += ENFORCED.split()
    properties += ["WorkingDirectory=%s/%s" % (root, request.directory), "TimeoutStopSec=%d" % LAST_SECONDS]
    properties += ["RuntimeMaxSec=%g" % min(request.seconds, LONGEST_COMMAND), "Restart=no"]
    argv = [
        "/usr/bin/systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "--service-type=exec",
        "--unit=" + one_off_unit(name),
    ]
    argv += ["--description=A command of %s" % name]
    for said in properties:
        argv += ["-p", said]
    words = [word.replace("$", "$$") for word in request.argv]  # systemd would put variables in their place
    return [*argv, "--", "/usr/bin/env", "--", *words]


def _of_unit(name: str, request: Asked) -> List[str]:
    unit = request.unit
    content = roots_own("%s/%s" % (OUR_UNITS, unit)) if unit in record(name).get("units", {}) else None
    if content is None or not unit.endswith(".service"):
        raise Refused("%s is no service of what is live here." % unit)
    refuse_taken_account(unit, content, accounts_of(name, request.role))
    found = surroundings(name, unit, content)
    if request.directory != "current":  # what is current tells of another release, or of none: the words name their own
        told = ["EnvironmentFile=%s%s/%s" % (mark, held(name), ALWAYS_HELD) for mark in ("", "-")]
        found = [said for said in found if said not in told]
        hold_missing(name, content)
    # a dump is of what the service keeps; what a command or a hook does with its keys, nobody has read
    if not request.apart and any("User=" + account in found for account in ROLE_ACCOUNTS.values()):
        raise Refused("%s does not run as %s: no command is given its keys." % (unit, name))
    return found


def _refuse_another(name: str, request: Asked, properties: List[str]) -> None:
    """Without a User= systemd would run it as root: there is exactly one, and it is the role's."""
    users = [said.partition("=")[2] for said in properties if said.startswith("User=")]
    accounts = accounts_of(name, request.role)
    if any(said.startswith("DynamicUser=") for said in properties):
        accounts.append(request.unit.rpartition(".")[0])
    if len(users) != 1 or users[0] not in accounts:
        said = "The surroundings of %s name no account of the %s of %s, so nothing is run in them. Deploy again."
        raise Refused(said % (request.unit or "a command", request.role, name))


def _line() -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        byte = os.read(0, 1)
        said += byte
        if not byte or len(said) > LARGEST_REQUEST:
            raise Refused("The request for a command is not one line of at most %d KiB." % (LARGEST_REQUEST >> 10))
    return said


def _held(name: str, process: "subprocess.Popen[bytes]", left: int) -> bool:
    """Until it has ended by itself; False when whoever wanted it went first, and then nothing of it is left.

    The next `left` bytes that come are its own input.
    """
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            ready, _, _ = select.select([0, ended], [], [])
            if ended in ready:
                return True
            block = os.read(0, min(left, 1 << 16) or 4096)
            if not block:
                break
            if left:
                left -= len(block)
                if not _give(process, ended, block, last=not left):
                    break
        while not select.select([ended], [], [], 1.0)[0]:
            call([SYSTEMCTL, "stop", "--", one_off_unit(name)])
        return False
    finally:
        os.close(ended)


def _give(process: "subprocess.Popen[bytes]", ended: int, block: bytes, last: bool) -> bool:
    """Hand it input, unless it ends first, or wants no more; False when whoever gives it went before it was taken."""
    pipe = process.stdin
    assert pipe is not None  # noqa: S101 - it was started with one
    watched = select.poll()
    watched.register(0, select.POLLRDHUP)  # not what comes next: only whether somebody still holds it open
    watched.register(ended, select.POLLIN)
    while block and not pipe.closed:
        watched.register(pipe.fileno(), select.POLLOUT)
        ready = dict(watched.poll())
        if ended in ready:
            return True
        if 0 in ready:
            return False
        try:
            block = block[os.write(pipe.fileno(), block[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            pipe.close()
    if last:
        pipe.close()
    return True


def _tell(name: str, process: "subprocess.Popen[bytes]", by_itself: bool) -> int:
    """How it ended, as systemd keeps it of what did not end well; the exit code as a shell would have it."""
    code = process.wait()
    shown = call([SYSTEMCTL, "show", "-p", "Result,ExecMainCode,ExecMainStatus", "--", one_off_unit(name)])[1]
    known = dict(line.partition("=")[::2] for line in shown.splitlines())
    result, status = known.get("Result", ""), int(known.get("ExecMainStatus") or 0)
    call([SYSTEMCTL, "reset-failed", "--", one_off_unit(name)])
    if not by_itself:
        result = "ended"
    elif code and result in ("success", "resources"):  # the last: a file that its unit is given is not there
        result = "not_started"
    else:
        code = 128 + status if known.get("ExecMainCode") in _BY_SIGNAL else status
    sys.stderr.write(json.dumps({"result": result, "code": code}) + "\n")
    return min(max(code, 0), 255)
