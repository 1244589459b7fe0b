"""Carries out one verb: frames from standard input, JSON lines to standard output."""

from __future__ import annotations

import os
import signal
import sys
from typing import List

from .bytecode import PROGRAM, keep_compiled
from .errors import Hangup, Refused, as_failure
from .recorder import Masker, outcome
from .settle import EARLY, LATE
from .tree import Tree, clear_leftovers
from .verbs import VERBS, verb_recover
from .wire import Frames, Stream


def main(argv: List[str]) -> None:
    """Carry out one verb; the last line written is its result."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if argv[:1] != ["run"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what restores things is short and ends by itself
    os.umask(0o022)
    tree = Tree(os.path.dirname(os.path.dirname(PROGRAM)))
    stream, frames = Stream(1), Frames(0)
    try:
        if argv == ["recover", "--boot"]:
            result = verb_recover(tree, frames, stream, boot=EARLY)
        elif argv == ["recover", "--late"]:
            result = verb_recover(tree, frames, stream, boot=LATE)
        else:
            result = VERBS[argv[0]](tree, frames, stream)
    except Refused as error:
        result = outcome("failed", error.reason, str(error), **error.facts)
    except Hangup as error:
        result = outcome("failed", "link_lost", "The request did not arrive: %s." % error)
    except OSError as error:
        failure = as_failure(error, argv[0])
        result = outcome("failed", failure.reason, str(failure))
    except Exception as error:  # noqa: BLE001 - a mistake of ours: said as one, and never as "nothing was changed"
        import traceback

        traceback.print_exc()
        sentence = "The agent broke off in an unforeseen way (%r). Let the portal recover this server." % error
        result = outcome("interrupted", "agent_error", sentence)
    stream.record({**result, "facts": Masker(tree).value(result.get("facts", {}))})
    stream.drain()
    try:
        clear_leftovers(tree, (".trash-",))
    except OSError:  # the next run tries again
        pass
    keep_compiled()


if __name__ == "__main__":
    main(sys.argv[1:])
