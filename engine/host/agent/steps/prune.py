"""prune: releases, environments, backups and agents that nobody will go back to."""

from __future__ import annotations

import os
import re
import time
from typing import List

from ..bytecode import PROGRAM, compiled_form
from ..files import discard, modified, names_in, readlink, unlink
from ..limits import KEEP_AGENTS, Record
from .work import Work


def prune(work: Work) -> Record:
    """Keep what runs, what ran before, what is pinned, and as many more as the plan says."""
    kept = {work.release, work.before["current"], *work.plan["pins"]}
    others = [name for name in work.tree.release_names() if name not in kept]
    others.sort(key=lambda name: -modified(os.path.join(work.tree.release(name), ".release")))
    gone = others[work.plan["keep"] :]
    for name in gone:
        discard(work.tree.release(name))
        unlink(work.tree.manifest_path(name))
    _prune_shared(work)
    backups = [name for name in names_in(work.tree.backups) if not name.startswith(".")]
    for name in outdated(backups, work.plan, time.time()):
        discard(os.path.join(work.tree.backups, name))
    agents = [name for name in names_in(work.tree.deploy) if re.fullmatch(r"agent-[0-9a-f]{64}\.py", name)]
    agents.sort(key=lambda name: -modified(os.path.join(work.tree.deploy, name)))
    for name in agents[KEEP_AGENTS:]:
        if name not in (os.path.basename(PROGRAM), readlink(os.path.join(work.tree.deploy, "agent.py"))):
            unlink(os.path.join(work.tree.deploy, name))
            unlink(compiled_form(os.path.join(work.tree.deploy, name)))
    return {"releases": gone}


def outdated(backups: List[str], plan: Record, now: float) -> List[str]:
    """Which of these go: beyond the number, or older than the days; their names begin with their time.

    The newest one stays, whatever its age.
    """
    keep, days = plan.get("keep_backups") or plan["keep"] + 2, plan.get("backup_days")
    oldest = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - days * 86400)) if days else ""
    return [name for name in backups[:-1] if name < oldest or name in backups[:-keep]]


def _prune_shared(work: Work) -> None:
    """Environments and configurations that no release refers to any more."""
    envs, configs = set(), {work.plan["config"]["digest"]}
    for name in work.tree.release_names():
        for role in names_in(os.path.join(work.tree.release(name), ".envs")):
            envs.add(os.path.basename(readlink(os.path.join(work.tree.release(name), ".envs", role)) or ""))
        configs.add(os.path.basename(work.tree.config_link(name) or ""))
    for parent, wanted in ((work.tree.envs, envs), (work.tree.config, configs)):
        for name in names_in(parent):
            if name not in wanted and not name.startswith("."):
                discard(os.path.join(parent, name))
