"""Which process has something in hand, and whether that one has ended: known of this machine's alone."""

import os

from deployments.core import beats


def this_process() -> str:
    """Its machine and number."""
    return f"{beats.machine()}:{os.getpid()}"


def has_ended(name: str) -> bool:
    """Whether the process of this name was of this machine, and is no more; False where nobody can tell."""
    machine, _, number = name.rpartition(":")
    if machine != beats.machine() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another account's
        pass
    return False
