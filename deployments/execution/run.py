"""Carrying a sealed deployment out, server after server, and concluding it truthfully."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone

from deployments.core.actors import system_actor
from deployments.core.retrying import retry
from deployments.core.sessions import agent, open_target
from deployments.execution import silences
from deployments.execution.claims import claim, hand_over
from deployments.execution.finish import end_target
from deployments.execution.host_inquiry import RUN_FENCE, Unsettled, apply_result, settle_target, target_snapshot
from deployments.execution.host_plans import host_plan
from deployments.execution.recorder import Recorder
from deployments.execution.self_deploy import HANDED_OVER, restarts_us
from deployments.execution.verdict import conclude
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.releases import artifacts
from deployments.requests.rollback_targets import rollback_target
from engine.artifacts.artifact import ArtifactReader
from engine.errors import PortalError
from engine.remote.client import Record
from engine.ssh.errors import LinkLost, RemoteDeadline

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
"""How long a worker keeps asking a server whose line was cut before the reaper takes over."""
DEADLINE_SECONDS = 600.0
"""What the users allow a deployment, all servers together; what is left of it bounds every server's agent."""


def execute(deployment_id: int) -> Status | None:
    """Claim a queued deployment and run it to its end; None when there was nothing to claim.

    Whatever happens on the way ends in a true status, or with the lease let go so that the reaper settles it.
    """
    deployment = claim(deployment_id)
    if deployment is None:
        return None
    token = deployment.claim
    assert token is not None  # noqa: S101  (claim sets it; this is for the type checker)
    concluded = False
    try:
        silences.begin(deployment)
        with Recorder(deployment, token) as recorder:
            concluded = _Execution(deployment, token, recorder).carry_out()
    except Exception:
        logger.exception("deployment %s: the worker failed, the reaper will settle it", deployment_id)
    finally:  # django-q's timeout is a SystemExit
        if not concluded:
            hand_over(deployment, token)
    retry(deployment.refresh_from_db)
    return Status(deployment.status)


class _Execution:
    """One claimed deployment in the hands of this worker."""

    def __init__(self, deployment: Deployment, token: UUID, recorder: Recorder) -> None:
        self._deployment = deployment
        self._token = token
        self._recorder = recorder
        self._ends = time.monotonic() + DEADLINE_SECONDS

    def carry_out(self) -> bool:
        """Target after target until one does not succeed, then the end. False when the reaper has to go on."""
        try:
            with artifacts.open_release(self._deployment.release) as reader:
                self._run_targets(reader)
        except Unsettled as why:
            logger.warning("deployment %s: %s", self._deployment.pk, why)
            return False
        except PortalError as error:  # the artifact cannot be read: no server has heard of it
            self._refuse_all(error)
        return conclude(
            actor=system_actor("worker"),
            deployment=self._deployment,
            recorder=self._recorder,
            token=self._token,
            timeout=TIMEOUT_SECONDS,
        )

    def _run_targets(self, reader: ArtifactReader) -> None:
        """Raises Unsettled when a server's state could not be learnt, or another worker has taken over."""
        targets = self._deployment.targets.select_related("server", "base_release")
        for target in retry(lambda: list(targets)):
            if not retry(lambda: self._begin(target)):  # noqa: B023  (called before the loop goes on)
                return
            self._run_target(target, reader)
            retry(target.refresh_from_db)
            if target.status != TargetStatus.SUCCEEDED:
                return

    def _begin(self, target: Target) -> bool:
        """Mark the server as the one that is worked on; False when somebody wants the deployment to end."""
        mine = Deployment.objects.executing().filter(pk=self._deployment.pk, claim=self._token)
        wanted_by = mine.values_list("cancel_requested_by", flat=True).first()
        if wanted_by is None or self._recorder.lost.is_set():
            raise Unsettled("another worker has taken over")
        if wanted_by:
            return False
        target.facts = {RUN_FENCE: self._deployment.fence}
        Target.objects.filter(pk=target.pk, deployment__claim=self._token).update(
            status=TargetStatus.RUNNING, started_at=timezone.now(), facts=target.facts
        )
        return True

    def _run_target(self, target: Target, reader: ArtifactReader) -> None:
        deployment, recorder = self._deployment, self._recorder
        sealed = target_snapshot(deployment, target)

        def hear(record: Record) -> None:
            recorder.record(target, record)
            if restarts_us(sealed, record):
                recorder.say(HANDED_OVER, target=target)
                raise Unsettled(HANDED_OVER)

        recorder.say(f"Connecting to {target.server.name}.", target=target)
        try:
            plan = retry(lambda: host_plan(deployment, sealed, reader, pins_for(target)))
            left = self._ends - time.monotonic()
            if left <= 0:
                raise PortalError(f"The {DEADLINE_SECONDS:g} s of a deployment were over.", reason="deadline")
            plan = dataclasses.replace(plan, deadline=min(plan.deadline, left))
            for _ in reader.tar_of([entry.path for entry in plan.missing()]):
                pass  # read and hashed before a server hears of it: a corrupt artifact is refused here
            with open_target(deployment.environment, sealed) as session:
                result = agent(session, deployment.snapshot["application"]).run(plan, reader, hear)
        except (LinkLost, RemoteDeadline) as error:
            recorder.say(f"{error} Asking {target.server.name} what is true.", target=target)
            settle_target(deployment, target, recorder, self._token, timeout=TIMEOUT_SECONDS)
        except PortalError as error:
            told = {"status": "failed", "reason": error.reason, "sentence": str(error)}
            apply_result(target, told, recorder, self._token)
        else:
            apply_result(target, dataclasses.asdict(result), recorder, self._token)

    def _refuse_all(self, error: PortalError) -> None:
        for target in retry(lambda: list(self._deployment.targets.filter(status=TargetStatus.WAITING))):
            end_target(
                target,
                TargetStatus.FAILED,
                claim=self._token,
                outcome=error.reason,
                sentence=self._recorder.mask(str(error)),
            )


def pins_for(target: Target) -> Sequence[str]:
    """Releases that pruning on this server must keep: what runs now, and what a rollback would need."""
    server = target.server
    wanted = (server.current_release, server.previous_release, rollback_target(server.environment))
    return list(dict.fromkeys(release.identifier for release in wanted if release is not None))
