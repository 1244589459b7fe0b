"""What a rollback would do, for its page: from where to where, on which servers, what differs, and for how long."""

from typing import Any

from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.models import Environment, Release
from deployments.requests.release_options import preview
from engine.errors import PortalError

TEMPLATE = "deployments/admin/roll_back.html"
FATE = (
    "Data is kept: what the service has written stays as it is, and the earlier release meets it so.",
    "The release that is left goes into quarantine: nobody goes back to it, and deploying it again needs a reason.",
)
"""What becomes of data and of the release, on every page that goes back."""


def going_back(actor: Actor, environment: Environment, release: Release | None) -> dict[str, Any]:
    """For the template: the plan of going back to `release`; nothing where there is nothing to go back to."""
    if release is None:
        return {}
    shown = {"to": release, "left": selectors.live_release(environment), "place": environment}
    try:
        return shown | {"plan": preview(actor=actor, environment=environment, release=release, back=True)}
    except PortalError as error:
        return shown | {"plan_error": error}
