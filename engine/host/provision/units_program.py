"""The program that takes over the units of the live release, as root: `/usr/local/lib/cytube-ops/<name>-units VERB`.

The deploying account may start it, by exact lines of sudoers, and may say nothing to it but when: which application it
is for is in its own name, and which release is what `current` of the tree points to. `take` is for the agent, as is
`take-when-told`, which comes up early and waits for an empty line; `boot` is for the unit that runs before those of the
application. They print one line of JSON, and nothing where it was not told. `run` is for one command of the
application's (see one_off).
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import sys
from typing import NoReturn

from .one_off import run
from .ownership import ours
from .paths import Refused
from .switching import take_units

LONGEST_WAIT = 660.0  # s; a server's part of a deployment has 600


def main() -> None:
    """Take the units over, or run a command; exit code 1 with the sentence that says why not."""
    os.umask(0o022)
    name = os.path.basename(sys.argv[0])[: -len("-units")]
    if sys.argv[1:] not in (["take"], ["take-when-told"], ["boot"], ["run"]):
        raise SystemExit("usage: %s take|take-when-told|boot|run" % sys.argv[0])
    if sys.argv[1] == "run":
        _run(name)
    if sys.argv[1] == "take-when-told" and not _told():
        return
    try:
        switched = take_units(name, ours(name, [], plan=False), boot=sys.argv[1] == "boot")
    except Refused as error:
        print(json.dumps({"sentence": str(error)}))
        raise SystemExit(1) from None
    except OSError as error:
        print(json.dumps({"sentence": "%s (%s)" % (error.strerror, error.filename)}))
        raise SystemExit(1) from None
    print(json.dumps({"put": switched.put, "gone": switched.gone}))


def _run(name: str) -> NoReturn:
    try:
        raise SystemExit(run(name))
    except Refused as error:
        sys.stderr.write(json.dumps({"result": "refused", "sentence": str(error)}) + "\n")
        raise SystemExit(1) from None


def _told() -> bool:
    """Whether somebody says so in time. One process waits; whoever else comes meanwhile is not waited for."""
    try:
        import tomllib  # noqa: F401  (needed afterwards, when every moment counts)
    except ImportError:
        pass
    held = os.open(sys.argv[0], os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ready, _, _ = select.select([0], [], [], LONGEST_WAIT)
    except OSError:
        return False
    finally:
        os.close(held)
    return bool(ready) and os.read(0, 1) == b"\n"


if __name__ == "__main__":
    main()
