"""activate: one rename, after which everything on disk is the new release, and its units, which root takes over."""

from __future__ import annotations

import os

from ..files import readlink, swap_link
from ..limits import Record
from ..units import check_units, take_units
from .work import Work


def activate(work: Work) -> Record:
    """Point configuration and `current` at the release; StepFailed when a newer attempt has begun."""
    work.tree.check_fence(work.plan["fence"])
    switched = work.release != work.tree.current_release()
    changed = switched or readlink(os.path.join(work.directory, ".config")) != work.config_target
    work.point_config()
    if switched:
        swap_link(work.tree.current, "releases/" + work.release)
    facts = {"switched": switched, "configuration": changed}
    if work.before["units_of"] is None:
        return facts
    units = take_units(work.tree, work.tools, work.taker)
    check_units(work.plan["roles"])
    return {**facts, "units": units}
