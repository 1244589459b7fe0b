"""Asking a server what is true about a deployment, after the line was cut or the worker died."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from deployments.core.agent_records import STATUSES
from deployments.execution.claims import Claimed, raise_fence
from deployments.execution.finish import end_target
from deployments.execution.limited_sessions import HEARD, limited_session
from deployments.execution.recorder import Recorder
from deployments.execution.spans import SPANS
from deployments.execution.steps import bounded_facts
from deployments.lifecycle import TargetStatus
from deployments.models import Target
from engine.errors import PortalError
from engine.host.agent.limits import LINE_LIMIT as LONGEST_SENTENCE
from engine.remote.client import AgentClient
from engine.remote.result import Record
from engine.ssh.errors import Flooded, NotRun

logger = logging.getLogger(__name__)

RUN_FENCE = "run_fence"
"""Where a target's facts keep the fence that its run was sent with; a later worker has a later one. Together with the
number it tells our run from one of another portal, or of this one before it was restored from a backup."""
ASKED = "asked"
"""Where a target's facts say, with False, that its end is no answer of its agent: what runs there was not looked at."""
RETRY_SECONDS = 2.0
"""Between two attempts to reach a server that does not answer."""
_POLL_SECONDS = 0.5


class Unsettled(Exception):
    """What became of a server is not known yet; the text says why. `working`: it answers, and is not done."""

    def __init__(self, why: str, *, working: bool = False) -> None:
        super().__init__(why)
        self.working = working

    @property
    def final(self) -> str:
        """Why asking again helps nobody: the server says far too much, or runs something else; "" when it may help."""
        return self.__cause__.reason if isinstance(self.__cause__, Flooded | NotRun) else ""


def settle_target(claimed: Claimed, target: Target, recorder: Recorder, *, timeout: float) -> None:
    """Learn from the host's journal how `target` ended, having its agent recover what it left unfinished.

    Tries for `timeout` seconds. Raises Unsettled when the server did not answer, or still works on it: nothing is
    written then. A server that says far too much, or runs something else than what it is asked for, is not asked again:
    that is how it ended.
    """

    def ask() -> None:
        with limited_session(claimed, target) as session:
            client = AgentClient(session, claimed.sealed.application)
            _Inquiry(client, claimed, target, recorder).settle()

    try:
        retry_until(ask, timeout=timeout)
    except Unsettled as why:
        if not why.final:
            raise
        end_target(
            target,
            TargetStatus.INTERRUPTED,
            claim=claimed.token,
            outcome=why.final,
            facts=target.facts,
            sentence=f"{recorder.mask(str(why))} An agent that had begun there finishes, or reverts by itself at its "
            "deadline.",
        )


def retry_until(ask: Callable[[], None], *, timeout: float) -> None:
    """`ask()` until it neither meets a cut line nor raises Unsettled, for `timeout` seconds. Raises Unsettled."""
    end = time.monotonic() + timeout
    while True:
        try:
            return ask()
        except Unsettled as error:
            why, pause = error, _POLL_SECONDS
        except PortalError as error:
            why, pause = Unsettled(str(error)), RETRY_SECONDS
            if error.permanent:
                raise why from error
        if time.monotonic() + pause > end:
            raise why
        time.sleep(pause)


def run_fence(target: Target) -> int | None:
    """The fence that the target's run was sent with; None when none was."""
    found: int | None = target.facts.get(RUN_FENCE)
    return found


def _kept(target: Target) -> Record:
    """What of a target's facts is ours, not the server's."""
    ours = {name: target.facts[name] for name in (HEARD, SPANS) if name in target.facts}
    return {RUN_FENCE: run_fence(target), **ours}


def apply_result(target: Target, result: Record, recorder: Recorder, token: UUID) -> None:
    """Store an agent's result as what became of the target; the steps it did not finish are closed with it."""
    recorder.record(target, {**result, "kind": "result", "seq": 0})
    end_target(
        target,
        STATUSES.get(str(result.get("status")), TargetStatus.INTERRUPTED),
        claim=token,
        outcome=str(result.get("reason", "")),
        sentence=recorder.mask(str(result.get("sentence", ""))[:LONGEST_SENTENCE]),
        facts={**bounded_facts(result.get("facts"), recorder.mask), **_kept(target)},
    )


class _Inquiry:
    """One look at one server, on an open session."""

    def __init__(self, client: AgentClient, claimed: Claimed, target: Target, recorder: Recorder) -> None:
        self._client = client
        self._claimed = claimed
        self._number = str(claimed.deployment.pk)
        self._target = target
        self._run_fence = run_fence(target)
        self._recorder = recorder

    def settle(self) -> None:
        """Write how it ended. Raises Unsettled, PortalError."""
        lock = self._client.inspect()["lock"]
        if lock["held"] and str(lock.get("deployment", "")) == self._number and self._ours(lock):
            self._fetch()
            raise Unsettled(f"{self._target.server.name} still works on deployment {self._number}.", working=True)
        records = self._fetch()
        if not records:
            self._never_began()
            return
        result = _result(records)
        if result is None:
            if self._client.recover().status == "running":
                raise Unsettled(f"Another deployment runs on {self._target.server.name}.", working=True)
            result = _result(self._fetch())
        if result is None:
            result = {
                "status": "interrupted",
                "reason": "no_result",
                "sentence": f"{self._target.server.name} began deployment {self._number} and its journal does not "
                "tell how it ended.",
            }
        apply_result(self._target, self._after_boot(result), self._recorder, self._claimed.token)

    def _fetch(self) -> list[Record]:
        records = [item for item in self._client.journal(self._number) if self._ours(item)]
        for record in records:
            if record.get("kind") != "result":
                self._recorder.record(self._target, record)
        return records

    def _ours(self, told: Record) -> bool:
        """Whether a record, or a lock, with our number is of our run. Without a fence of ours the number has to do."""
        return self._run_fence is None or told.get("fence") == self._run_fence

    def _never_began(self) -> None:
        """Nothing of ours is in the journal. What is still on its way to the server must not begin any more.

        A request that was cut off may lie in the buffers of a connection that is not dead yet; the agent refuses it
        once it has heard a higher fence.
        """
        fence = raise_fence(self._claimed)
        if fence is None:
            raise Unsettled("Another worker has taken over.")
        answer = self._client.revert(self._number, fence, run_fence=self._run_fence)
        if answer.status != "none" and answer.reason != "fence_outdated":
            raise Unsettled(answer.sentence, working=True)
        apply_result(
            self._target,
            {
                "status": "failed",
                "reason": "not_started",
                "sentence": f"Nothing was begun on {self._target.server.name}: it runs what it ran before.",
            },
            self._recorder,
            self._claimed.token,
        )

    def _after_boot(self, result: Record) -> Record:
        """A revert at boot leaves the units to the boot: whether they came up has to be looked at now."""
        if result.get("status") == "succeeded" or not result.get("facts", {}).get("boot"):
            return result
        since: Record = self._client.recover().facts.get("since_boot", {"healthy": True})
        if since["healthy"]:
            return result
        sentence = f"{result['sentence']} What ran before did not come up again: {since['sentence']}"
        return {**result, "status": "interrupted", "reason": "not_restored", "sentence": sentence}


def _result(records: list[Record]) -> Record | None:
    return next((record for record in reversed(records) if record.get("kind") == "result"), None)
