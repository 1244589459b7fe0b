"""What happens to bots, servers, CyTube and portal, and how it has to end. Each verb returns what was seen."""

import json
import time
from collections.abc import Callable

from sandbox.demo.following import version_of
from sandbox.demo.portal import DemoPortal
from sandbox.demo.room import CHANNELS
from sandbox.demo.stage import Stage
from sandbox.soak.next import NextVersion
from sandbox.soak.rooms import Rooms

BACK_SECONDS = 180.0
"""A bot has to be back in its room by then, whatever happened to it."""
CABLE_SECONDS, AWAY_SECONDS, LONG_AWAY_SECONDS = 8.0, 5.0, 20.0
UNIT = "cytube-bot.service"
BREAK_A_BAKE = frozenset({"kill-bot", "outage", "power-cut"})
BAKE_ENDS_SECONDS = 15.0
"""The portal looks every ten seconds whether a bake is over."""


class WentWrong(Exception):
    """It did not end as it has to."""


class Faults:
    """Everything of a plan, by name; raises WentWrong, or CommandFailed of the portal's commands."""

    def __init__(self, stage: Stage, rooms: Rooms, following: NextVersion, bake: float) -> None:
        """Deployments are watched for `bake` seconds."""
        self._stage = stage
        self._bake = bake
        self._baked: dict[str, float] = {}
        self._rooms = rooms
        self._next = following
        self._verbs: dict[str, Callable[[str], str]] = {
            "cut": self._cut,
            "cytube-restart": lambda _: self._restart(AWAY_SECONDS),
            "cytube-restart-long": lambda _: self._restart(LONG_AWAY_SECONDS),
            "flood": lambda where: self._lively(where, "flood"),
            "raid": lambda where: self._lively(where, "raid"),
            "playlist-churn": lambda where: self._lively(where, "churn"),
            "deploy-next": self._deploy,
            "rollback": self._rollback,
            "cable": self._cable,
            "kill-bot": self._kill_bot,
            "power-cut": self._power_cut,
            "outage": self._outage,
            "deploy-without-workers": self._kill_workers,
            "portal-update": self._portal_update,
        }

    def do(self, what: str, where: str) -> str:
        """Let it happen, wait for what has to come of it, and say so."""
        return self._verbs[what](where)

    def await_bake(self, what: str, where: str) -> None:
        """A bot that dies while its deployment is watched is rolled back, as it has to be: not what was to be seen."""
        if what in BREAK_A_BAKE:
            time.sleep(max(0.0, self._baked.get(where, 0.0) - time.monotonic()))

    def _cut(self, _: str) -> str:
        before = self._sessions()
        self._stage.cytube.ask(lambda server: server.drop_connections())
        return self._all_again(before)

    def _restart(self, away: float) -> str:
        before = self._sessions()
        self._stage.cytube.run(self._stage.cytube.server.restart(downtime=away))
        return f"CyTube was away for {away:g} s; {self._all_again(before)}"

    def _lively(self, where: str, what: str) -> str:
        before = self._sessions()
        self._rooms.lively(where, what)
        if self._sessions() != before:
            raise WentWrong("a bot lost its room")
        return "no bot lost its room"

    def _deploy(self, where: str) -> str:
        release, before = self._next.release(), self._sessions()
        allowed = (0,) if where == "test" else (3,)
        asked = ("deploy", where, "--release", release, "--reason", "soak", "--again", "--json")
        said = self._stage.portal.manage(*asked, person="operator", allowed=allowed)
        if where != "test":
            number = str(json.loads(said[said.index("{") :])["deployment"])
            self._stage.portal.manage("approve", number, person="approver")
        said = self.await_release(self._stage.portal, where)
        self._baked[where] = time.monotonic() + self._bake + BAKE_ENDS_SECONDS
        return f"{release}: {said}; {self._again(where, before)}"

    def _rollback(self, where: str) -> str:
        before = self._sessions()
        self._stage.portal.manage("rollback", where, "--reason", "soak", person="operator")
        return f"{self.await_release(self._stage.portal, where)}; {self._again(where, before)}"

    @staticmethod
    def await_release(portal: DemoPortal, where: str, deadline: float = 300.0) -> str:
        """Wait for the end of what was asked for last. Raises WentWrong unless it succeeded."""
        end = time.monotonic() + deadline
        while True:
            row = json.loads(portal.manage("history", where, "--format", "json", "--limit", "1"))[0]
            if row["finished_at"] or time.monotonic() > end:
                break
            time.sleep(2.0)
        if row["status"] != "succeeded":
            raise WentWrong(f"{row['kind']} {row['deployment']} is {row['status']}: {row['sentence']}")
        return f"{row['kind']} {row['deployment']} succeeded in {row['seconds']:.1f} s, verified"

    def _cable(self, where: str) -> str:
        host = self._stage.host(where)
        host.link(False)
        time.sleep(CABLE_SECONDS)  # that long is the cable out: this is the fault itself, no wait for something
        host.link(True)
        return f"no cable for {CABLE_SECONDS:g} s; {self._back(where)}"

    def _kill_bot(self, where: str) -> str:
        before = self._sessions()
        self._stage.host(where).root(["systemctl", "kill", "--signal=KILL", UNIT])
        return f"SIGKILL; {self._again(where, before)}"

    def _power_cut(self, where: str) -> str:
        before, host = self._sessions(), self._stage.host(where)
        host.power_off()
        host.power_on()
        return f"no power, then the same disk booted; {self._again(where, before)}"

    def _outage(self, where: str) -> str:
        before, mail = self._sessions(), self._stage.watch.mail
        self._stage.host(where).root(["systemctl", "stop", UNIT])
        told = "alerts are not installed"
        try:
            if mail is not None:
                known, began = len(mail.messages), time.monotonic()
                mail.wait_for(lambda one: "BotDown" in one.subject and one in mail.messages[known:], 300.0)
                told = f"BotDown was mailed after {time.monotonic() - began:.0f} s"
        finally:
            self._stage.portal.manage("start", where, "--reason", "soak", person="operator")
        return f"stopped, {told}, started; {self._again(where, before)}"

    def _kill_workers(self, where: str) -> str:
        count = self._next.kill_clusters()
        return f"{count} clusters of workers got SIGKILL; new ones did {self._deploy(where)}"

    def _portal_update(self, _: str) -> str:
        before = self._sessions()
        began = time.monotonic()
        self._next.move_in()
        away = time.monotonic() - began
        if self._sessions() != before:
            raise WentWrong("a bot lost its room while the portal was updated")
        return f"the portal of {version_of(self._next.tree)} answers after {away:.1f} s; no bot noticed"

    def _sessions(self) -> dict[str, int]:
        return {where: self._rooms.session(where) for where in CHANNELS}

    def _all_again(self, before: dict[str, int]) -> str:
        return ", ".join(self._again(where, before) for where in CHANNELS)

    def _again(self, where: str, before: dict[str, int]) -> str:
        """Wait until the bot is in its room anew."""
        return self._wait(where, lambda session: session not in {0, before[where]})

    def _back(self, where: str) -> str:
        """Wait until the bot is in its room, whether it had been away or not."""
        return self._wait(where, bool)

    def _wait(self, where: str, there: Callable[[int], bool]) -> str:
        began = time.monotonic()
        while not there(self._rooms.session(where)):
            if time.monotonic() - began > BACK_SECONDS:
                raise WentWrong(f"{where}: the bot is not back after {BACK_SECONDS:g} s")
            time.sleep(0.1)
        return f"{where} in its room {time.monotonic() - began:.1f} s later"
