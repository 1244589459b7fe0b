"""before_activate, after_activate, after_success: what a release has run then."""

from __future__ import annotations

from typing import Callable

from ..hooks import Hooks, hook_at
from ..limits import Record
from .work import Work


def hook(moment: str) -> Callable[[Work], Record]:
    """The step of a moment; it fails the run, unless that was verified already."""

    def step(work: Work) -> Record:
        work.tree.check_fence(work.plan["fence"])
        hooks = Hooks(work.tree, work.tools, work.plan)
        words = (hook_at(work.plan, moment) or {})["command"]
        return hooks.run(moment, words, work.step_ends, lambda line: work.recorder.log(moment, line, "output"))

    return step
