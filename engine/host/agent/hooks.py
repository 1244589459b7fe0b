"""The commands that a release has run before and after its activation, and their ways back."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any, Callable, List, Optional, Tuple

from .errors import StepFailed
from .limits import ALIVE_EVERY, Record
from .one_off import OneOff, Spoken, asked_of, said_of
from .processes import Tools
from .tree import Tree
from .units import taken

PAUSE = 0.05  # s between two looks at a command that says nothing more
KEPT = ("portal", "monitoring")  # roles whose services hold keys of their own: no command is given those


def hook_at(plan: Record, moment: str) -> Optional[Record]:
    """What a plan has run then; None when nothing."""
    return next((dict(hook) for hook in plan.get("hooks", ()) if hook["moment"] == moment), None)


class Hooks:
    """Runs them, for a run's worker and for whoever undoes the run: a plan, or the journal's summary of one."""

    def __init__(self, tree: Tree, tools: Tools, plan: Record, tick: Callable[[], None] = lambda: None) -> None:
        self._tree = tree
        self._tools = tools
        self._plan = plan
        self._tick = tick

    def run(self, moment: str, words: List[str], ends: float, log: Callable[[str], None]) -> Record:
        """`words` of the hook at this moment, until `ends`. Raises StepFailed unless they end with 0."""
        hook = hook_at(self._plan, moment)
        assert hook is not None  # noqa: S101 - asked for by its moment
        within = max(1.0, ends - time.monotonic())
        command = self._begin(hook, words, within)
        self._hear(command, ends, log)
        result, code = command.told()
        if code == 0 and result == "success":
            return {"command": words, "account": hook["account"]}
        sentence = "The hook %s (%s) %s." % (moment, words[0], said_of(result, code, hook["deadline"]))
        raise StepFailed("hook_failed", sentence, exit_code=code, hook=moment, said=sentence)

    def end_what_runs(self) -> None:
        """Of a run whose agent was killed: what root still runs of it ends first."""
        if any(hook["account"] == "application" for hook in self._plan.get("hooks", ())):
            OneOff(self._tree, self._tools, asked_of("bot", "", "current", [], 1.0)).told()

    def _begin(self, hook: Record, words: List[str], within: float) -> Any:
        role = next(role for role in self._plan["roles"] if role["role"] == hook["role"])
        release = self._plan["release"]
        argv = ["RELEASE_ID=" + release, "RELEASE_VERSION=" + str(self._plan["version"]), *self._filled(words)]
        if hook["account"] == "deploying":
            return Local(self._tree, self._tools, argv, self._tree.release(release), hook["role"])
        known = taken(self._tree).get("units", {}) if hook["role"] not in KEPT else {}
        unit = next((unit for unit in role["units"] if unit.endswith(".service") and unit in known), "")
        return OneOff(self._tree, self._tools, asked_of(hook["role"], unit, "releases/" + release, argv, within))

    def _filled(self, words: List[str]) -> List[str]:
        config = self._plan["config_digest"] if "config_digest" in self._plan else self._plan["config"]["digest"]
        places = {
            "{release}": self._tree.release(self._plan["release"]),
            "{config}": os.path.join(self._tree.config, config),
            "{data}": self._tree.data,
        }
        for placeholder, path in places.items():
            words = [word.replace(placeholder, path) for word in words]
        return words

    def _hear(self, command: Any, ends: float, log: Callable[[str], None]) -> None:
        more = True
        while more:
            left = ends - time.monotonic()
            if left <= 0:
                command.end()
                return
            if select.select([command.output], [], [], min(left, ALIVE_EVERY))[0]:
                lines, more = command.lines()
                for line in lines:
                    log(line)
            self._tick()
        while not command.ended():  # its output may end long before it does
            if time.monotonic() >= ends:
                command.end()
                return
            time.sleep(min(PAUSE, max(0.0, ends - time.monotonic())))
            self._tick()


class Local(Spoken):
    """The same as OneOff by the deploying account, which needs no root for it."""

    def __init__(self, tree: Tree, tools: Tools, argv: List[str], directory: str, role: str) -> None:
        own = os.path.join(directory, ".envs", role, "bin")
        given = ["PATH=%s:%s" % (own, os.environ.get("PATH", "/usr/bin:/bin")), "CREDENTIALS_DIRECTORY=" + tree.secrets]
        super().__init__(tools.start(["/usr/bin/env", "--", *given, *argv], directory))
        self._ended = False

    def end(self) -> None:
        """All of it, at once."""
        self._ended = True
        os.killpg(self._process.pid, signal.SIGKILL)  # which nobody has waited for, so the number is still its own

    def ended(self) -> bool:
        """Whether it has, and only waits to be asked how."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def told(self) -> Tuple[str, int]:
        """How it ended, in the words of root's program; after its end, or `end`."""
        code = self._process.wait()
        self._process.stdout.close()
        if self._ended:
            return "timeout", 124
        return "success" if code == 0 else "exit-code", code if code >= 0 else 128 - code
