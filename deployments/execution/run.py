"""Carrying a sealed deployment out, round after round of servers, and concluding it truthfully."""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from django.utils import timezone

from deployments.core.actors import system_actor
from deployments.core.read_only import has_host_key
from deployments.core.retrying import retry
from deployments.execution import silences
from deployments.execution.ahead import Ahead
from deployments.execution.claims import Claimed, claim, hand_over
from deployments.execution.finish import end_target
from deployments.execution.host_inquiry import ASKED, RUN_FENCE, Unsettled, apply_result, settle_target
from deployments.execution.host_plans import HostPlans
from deployments.execution.limited_sessions import limited_session
from deployments.execution.recorder import Recorder
from deployments.execution.side_by_side import let_the_database_go, side_by_side
from deployments.execution.spans import SPANS, waited
from deployments.execution.verdict import conclude
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.releases import artifacts
from deployments.snapshot import ROUND_SECONDS, SealedTarget
from engine.artifacts.artifact import ArtifactReader
from engine.errors import PortalError
from engine.remote import AgentClient
from engine.remote.result import Record
from engine.ssh.errors import LinkLost, RemoteDeadline

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
"""How long a worker keeps asking a server whose line was cut before the reaper takes over."""
HANDED_OVER = (
    "This is the portal's own server: its agent goes on alone from here, and the workers it starts write down the end."
)


def execute(deployment_id: int) -> Status | None:
    """Claim a queued deployment and run it to its end; None when there was nothing to claim.

    Whatever happens on the way ends in a true status, or with the lease let go so that the reaper settles it.
    """
    claimed = claim(deployment_id)
    if claimed is None:
        return None
    deployment, concluded = claimed.deployment, False
    try:
        silences.begin(deployment)
        with Recorder(deployment, claimed.token) as recorder:
            concluded = _Execution(claimed, recorder).carry_out()
    except Exception:
        logger.exception("deployment %s: the worker failed, the reaper will settle it", deployment_id)
    finally:  # django-q's timeout is a SystemExit
        if not concluded:
            hand_over(claimed)
    retry(deployment.refresh_from_db)
    return Status(deployment.status)


class _Execution:
    """One claimed deployment in the hands of this worker."""

    def __init__(self, claimed: Claimed, recorder: Recorder) -> None:
        self._claimed = claimed
        self._deployment = claimed.deployment
        self._recorder = recorder
        self._ahead = Ahead(claimed)
        recorder.when_verifying = self._ahead.come

    def carry_out(self) -> bool:
        """Round after round until too many servers failed, then the end. False when the reaper has to go on."""
        try:
            with artifacts.open_release(self._deployment.release) as reader:
                self._run_targets(reader)
        except Unsettled as why:
            logger.warning("deployment %s: %s", self._deployment.pk, why)
            return False
        except PortalError as error:  # the artifact cannot be read: no server has heard of it
            self._refuse_all(error)
        try:
            return conclude(
                actor=system_actor("worker"),
                claimed=self._claimed,
                recorder=self._recorder,
                timeout=TIMEOUT_SECONDS,
            )
        finally:
            self._ahead.end()

    def _run_targets(self, reader: ArtifactReader) -> None:
        """Raises Unsettled when a server's state could not be learnt, or another worker has taken over."""
        plans, failures, snapshot = HostPlans(self._deployment, reader), 0, self._claimed.sealed
        rows = self._deployment.targets.select_related("server__current_release", "server__previous_release")
        by_name = {target.server.name: target for target in retry(partial(list[Target], rows))}
        for number, (round_, next_) in enumerate(pairwise([*snapshot.rounds, []])):
            self._ahead.expect(next_)
            group = [by_name[sealed.server] for sealed in round_]
            if not retry(partial(self._begin, group)):
                return
            ends = time.monotonic() + ROUND_SECONDS
            both = zip(group, round_, strict=True)
            side_by_side([partial(self._run_target, target, sealed, plans, ends) for target, sealed in both])
            mine = rows.filter(pk__in=[target.pk for target in group])
            ended = retry(partial(list[str], mine.values_list("status", flat=True)))
            failures += sum(status != TargetStatus.SUCCEEDED for status in ended)
            if failures > (snapshot.tolerated if number else 0):
                return

    def _begin(self, group: Sequence[Target]) -> bool:
        """Mark the servers as those that are worked on; False when somebody wants the deployment to end."""
        mine = Deployment.objects.executing().filter(pk=self._deployment.pk, claim=self._claimed.token)
        wanted_by = mine.values_list("cancel_requested_by", flat=True).first()
        if wanted_by is None or self._recorder.lost.is_set():
            raise Unsettled("another worker has taken over")
        if wanted_by:
            return False
        facts = {RUN_FENCE: self._deployment.fence}
        Target.objects.filter(pk__in=[target.pk for target in group], deployment__claim=self._claimed.token).update(
            status=TargetStatus.RUNNING, started_at=timezone.now(), facts=facts
        )
        for target in group:
            target.facts = dict(facts)
        return True

    def _run_target(self, target: Target, sealed: SealedTarget, plans: HostPlans, ends: float) -> None:
        recorder, fence, moments = self._recorder, target.facts[RUN_FENCE] or 0, [time.monotonic()]
        recorder.say(f"Connecting to {target.server.name}.", target=target)
        self._ahead.wait(target.server.name)
        try:
            with limited_session(self._claimed, target, ends=True) as session:
                moments.append(time.monotonic())
                client = AgentClient(session, self._claimed.sealed.application)
                client.start("run")  # it comes up while its plan is made
                retry(partial(plans.read_files, sealed))  # a corrupt artifact is refused here: nothing was asked yet
                moments.append(time.monotonic())
                plan = retry(lambda: plans.plan(target, fence=fence, within=max(1.0, ends - time.monotonic())))
                let_the_database_go()
                moments.append(time.monotonic())
                hear = listener(recorder, target, sealed)
                result = client.run(plan, plans.reader, hear, clock=timezone.now().timestamp())
                moments += [client.answered or moments[-1], time.monotonic()]
        except (LinkLost, RemoteDeadline) as error:
            recorder.say(f"{error} Asking {target.server.name} what is true.", target=target)
            settle_target(self._claimed, target, recorder, timeout=TIMEOUT_SECONDS)
        except PortalError as error:
            told = {"status": "failed", "reason": error.reason, "sentence": str(error), "facts": {ASKED: False}}
            apply_result(target, told, recorder, self._claimed.token)
        else:
            target.facts = {**target.facts, SPANS: waited(moments)}
            apply_result(target, dataclasses.asdict(result), recorder, self._claimed.token)

    def _refuse_all(self, error: PortalError) -> None:
        for target in retry(lambda: list(self._deployment.targets.filter(status=TargetStatus.WAITING))):
            end_target(
                target,
                TargetStatus.FAILED,
                claim=self._claimed.token,
                outcome=error.reason,
                sentence=self._recorder.mask(str(error)),
            )


def listener(recorder: Recorder, target: Target, sealed: SealedTarget) -> Callable[[Record], None]:
    """What takes the agent's records; on the portal's own server the worker lets go when its own end begins."""
    record_it = partial(recorder.record, target)
    if "portal" not in sealed.roles:
        return record_it

    def hear(record: Record) -> None:
        record_it(record)
        if restarts_us(sealed, record):
            recorder.say(HANDED_OVER, target=target)
            raise Unsettled(HANDED_OVER)

    return hear


def restarts_us(target: SealedTarget, record: Record) -> bool:
    """Whether with this record the agent begins to restart the workers that listen to it: on the portal's own machine.

    That ends the very worker that asked for it, and the agent waits for the end. So the worker lets go: the agent goes
    on alone, and the workers that it starts, of the new release or after a revert of the old one, write down how it
    ended (`execution.reaper`).
    """
    beginning = record.get("kind") == "step" and (record.get("step"), record.get("state")) == ("restart", "begin")
    return beginning and "portal" in target.roles and has_host_key(target.host_key)
