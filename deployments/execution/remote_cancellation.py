"""Ending what runs on servers, proven."""

import time
from collections import defaultdict
from functools import partial

from django.utils import timezone

from deployments.core.sessions import open_target
from deployments.execution.reaper import settle
from deployments.execution.side_by_side import side_by_side
from deployments.lifecycle import EXECUTING, TargetStatus
from deployments.models import Deployment, Target
from deployments.requests.cancellation import logger
from engine.errors import PortalError
from engine.remote import AgentClient
from engine.ssh.conversation import OutputCount
from engine.ssh.errors import Flooded

RETRY_SECONDS = 45.0


_PAUSE_SECONDS = 0.2


def cancel_remote(deployment_id: int) -> str:
    """End what agents do for this deployment, until it has ended; returns what was found.

    The worker concludes when its agent says how it ended. It may be about to begin when we come, so this asks
    again; and it may be dead, so this settles the deployment when the lease has run out.
    """
    heard: defaultdict[int, OutputCount] = defaultdict(OutputCount)
    said = "Nothing was running on any server."
    ends = time.monotonic() + RETRY_SECONDS
    while True:
        deployment = Deployment.objects.select_related("environment", "release").get(pk=deployment_id)
        if deployment.status not in EXECUTING:
            return said
        running = deployment.targets.select_related("server").filter(status=TargetStatus.RUNNING)
        try:
            told = side_by_side([partial(_end_agent, deployment, target, heard[target.pk]) for target in running])
        except Flooded as error:  # to ask again would be to listen to as much again
            return str(error)
        said = " ".join(dict.fromkeys(told)) or said
        if deployment.lease_until and deployment.lease_until <= timezone.now():
            settle(deployment)
        if time.monotonic() > ends:
            logger.warning("deployment %s: not cancelled yet: %s", deployment_id, said)
            return said
        time.sleep(_PAUSE_SECONDS)


def _end_agent(deployment: Deployment, target: Target, heard: OutputCount) -> str:
    try:
        with open_target(deployment.environment, deployment.sealed.target(target.server.name)) as session:
            session.heard = heard
            client = AgentClient(session, deployment.sealed.application)
            try:
                return client.cancel(str(deployment.pk), deployment.fence or 0).sentence
            finally:
                session.heard = None
    except Flooded:
        raise
    except PortalError as error:
        logger.warning("deployment %s: cancelling on %s: %s", deployment.pk, target.server.name, error)
        return str(error)
