"""activate: one rename, after which everything on disk is the new release."""

from __future__ import annotations

import os
import time

from ..files import readlink, swap_link
from ..limits import Record
from .work import Work


def activate(work: Work) -> Record:
    """Point configuration and `current` at the release; StepFailed when a newer attempt has begun."""
    work.tree.check_fence(work.plan["fence"])
    work.activated_at = time.time()
    if work.release == work.tree.current_release():
        changed = readlink(os.path.join(work.directory, ".config")) != work.config_target
        work.point_config()
        return {"switched": False, "configuration": changed}
    work.point_config()
    swap_link(work.tree.current, "releases/" + work.release)
    return {"switched": True, "configuration": True}
