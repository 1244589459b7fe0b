"""How the agent says no, and what becomes of whatever went wrong in a step."""

from __future__ import annotations

import errno
from typing import Any


class Refused(Exception):
    """Nothing was changed; `reason` is a stable word, the text one sentence."""

    def __init__(self, reason: str, sentence: str, **facts: Any) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.facts = facts


class StepFailed(Refused):
    """A step said no; what was begun is undone."""


class SupervisorGone(BaseException):
    """The parent died: the worker restores what it began and ends. No step may take it for a failure of its own."""


class LastWords(BaseException):
    """The worker must end now: it hands over what it holds, and does nothing more."""


class Hangup(Exception):
    """The portal stopped sending in the middle."""


def as_failure(error: Exception, step: str) -> StepFailed:
    """What a person reads about whatever went wrong in a step."""
    if isinstance(error, Refused):
        return error if isinstance(error, StepFailed) else StepFailed(error.reason, str(error), **error.facts)
    if isinstance(error, Hangup):
        return StepFailed("link_lost", "The files did not arrive: %s." % error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StepFailed("disk_full", "The disk of this server was full in the step %s. Free some space." % step)
    if isinstance(error, OSError):
        return StepFailed("os_error", "The step %s failed: %s (%s)." % (step, error.strerror, error.filename))
    return StepFailed("agent_error", "The step %s failed in an unforeseen way: %r." % (step, error))
