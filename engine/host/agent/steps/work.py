"""What the steps of a run share: the plan, the means, and what one step leaves for the next."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from ..files import readlink, swap_link
from ..limits import Record, Row
from ..processes import Tools
from ..recorder import Recorder
from ..restarting import Restarted
from ..systemd import Systemd
from ..tree import Tree
from ..wire import Frames


class Work:
    """One run's plan and means, and what its steps found out so far."""

    def __init__(self, tree: Tree, plan: Record, recorder: Recorder, frames: Frames, since: float) -> None:
        self.tree = tree
        self.plan = plan
        self.recorder = recorder
        self.frames = frames
        self.tools = Tools(plan["deployment"], tree.root)
        self.systemd = Systemd(self.tools)
        self.rows: List[Row] = [tuple(row) for row in plan["manifest"]]
        self.release: str = plan["release"]
        self.directory = tree.release(self.release)
        self.config_directory = os.path.join(tree.config, plan["config"]["digest"])
        self.units = [unit for role in plan["roles"] for unit in role["units"]]
        self.before: Record = {}
        self.taker: Any = None
        self.environments: Dict[str, Any] = {}
        self.restarted = Restarted({}, 0.0)
        self.rows_before: Dict[str, Dict[str, Optional[int]]] = {}
        self.ends = since + plan["deadline"]
        self.step_ends = self.ends

    @property
    def config_target(self) -> str:
        """What a release's .config points to, seen from the release."""
        return "../../shared/config/" + str(self.plan["config"]["digest"])

    def point_config(self) -> None:
        """Have the release use this plan's configuration."""
        link = os.path.join(self.directory, ".config")
        if readlink(link) != self.config_target:
            swap_link(link, self.config_target)
