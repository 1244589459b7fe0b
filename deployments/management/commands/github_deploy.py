"""Deploy straight from a workflow's runner."""

import getpass
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.core import selectors
from deployments.core.actors import system_actor
from deployments.github.reviews import WorkflowRun
from deployments.github.runner import Access, prepare, request_from_runner, review_for
from deployments.management.describing import describe
from deployments.management.planning import plan_document
from deployments.management.summary import append_summary, deployment_summary, failure_summary, plan_summary
from deployments.management.waiting import RequestCommand
from deployments.models import Deployment
from deployments.releases.uploads import add_artifact
from deployments.requests.snapshots import take_snapshot
from engine.artifacts.values import ROLES
from engine.errors import PortalError


class Command(RequestCommand):
    """`github_deploy E --artifact FILE --sha256 D [--role …] [--reason]`."""

    help = (
        "Deploy straight from a workflow's runner, in an empty database: the server from the job's secrets, what it "
        "runs from itself, the approval from GitHub."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """Where and what; how to reach the server comes from the environment variables of the secrets' names."""
        parser.add_argument("environment")
        parser.add_argument("--artifact", type=Path, required=True, metavar="FILE", help="as build_release made it")
        parser.add_argument("--sha256", required=True, metavar="D", help="of the artifact, as its builder gave it")
        parser.add_argument("--role", action="append", choices=ROLES, help="of the server; repeatable (default: bot)")
        parser.add_argument("--reason", default="", help="why; kept in the server's journal")

    def run(self, options: dict[str, Any]) -> int:
        """Carry it out, and leave a summary whatever happens."""
        try:
            return self._deploy(options)
        except PortalError as error:
            append_summary(failure_summary(f"Nothing was deployed to {options['environment']}", str(error)))
            raise

    def _deploy(self, options: dict[str, Any]) -> int:
        environment = selectors.environment_named(options["environment"])
        access = Access.from_environment(environment.name, os.environ)
        run = WorkflowRun.from_environment(os.environ)
        review = review_for(environment, run)
        if review:
            self.say(f"GitHub says that {review.reviewer} approved what {review.requester} asked for.")
        release, _ = add_artifact(
            actor=system_actor("runner"), path=options["artifact"], sha256=options["sha256"], builder="workflow"
        )
        prepare(environment=environment, release=release, access=access, roles=options["role"] or ["bot"])
        plan = plan_document(environment, release, take_snapshot(environment=environment, release=release))
        append_summary(plan_summary(plan["servers"], plan["snapshot"]["plan"]["steps"]))
        deployment = request_from_runner(
            environment=environment,
            release=release,
            reason=options["reason"],
            run=run,
            review=review,
            login=getpass.getuser(),
        )
        code = self.conclude(deployment, {"inline": True, "no_wait": False, "timeout": None, "timings": False})
        ended = Deployment.objects.select_related("environment", "release").get(pk=deployment.pk)
        append_summary(deployment_summary(describe(ended), {"workflow run": run.url} if run else {}))
        return code
