"""Sessions in which what a server says about one deployment is counted together, however often it is asked."""

import contextlib
from collections.abc import Iterator

from deployments.core.retrying import retry
from deployments.core.sessions import open_target
from deployments.execution.claims import Claimed
from deployments.models import Target
from engine.ssh.conversation import OutputCount
from engine.ssh.session import Session

HEARD = "heard"
"""Where a target's facts keep how many bytes and lines its server has said about the deployment."""


@contextlib.contextmanager
def limited_session(claimed: Claimed, target: Target, *, ends: bool = False) -> Iterator[Session]:
    """`open_target` of a claimed deployment; a server that has said too much raises Flooded at its first byte.

    With `ends`, the caller writes the target's facts as soon as it is over: they are written here only if it fails.
    """
    ended, heard = False, OutputCount(*target.facts.get(HEARD, (0, 0)))
    try:
        with open_target(claimed.deployment.environment, claimed.sealed.target(target.server.name)) as session:
            session.heard = heard
            try:
                yield session
            finally:
                session.heard = None
        ended = True
    finally:
        target.facts = {**target.facts, HEARD: [heard.size, heard.lines]}
        if not (ends and ended):
            retry(lambda: _keep(target, claimed))


def _keep(target: Target, claimed: Claimed) -> None:
    row = Target.objects.filter(pk=target.pk, deployment__claim=claimed.token)
    mine = row.only("facts").first()
    if mine is not None:
        facts = {**mine.facts, HEARD: target.facts[HEARD]}
        row.update(facts=facts)
