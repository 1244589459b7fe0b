"""What somebody does about drift: have it put back by a deployment, or accept it."""

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Deployment, Server
from deployments.requests.requests import request_deployment
from engine.errors import Conflict, InvalidRequest


def accept_drift(*, actor: Actor, server: Server, reason: str) -> None:
    """Record that what differs now is meant to be so; a difference that ends and comes again is new.

    Raises NotAllowed, InvalidRequest without a reason, Conflict when nothing differs.
    """
    require(actor, Verb.ACKNOWLEDGE, server.environment)
    reason = checked(reason)
    if not reason:
        raise InvalidRequest("Accepting drift needs a reason.", reason="no_reason")
    with transaction.atomic():
        locked = Server.objects.select_for_update().get(pk=server.pk)
        accepted = locked.open_drift
        if not accepted:
            raise Conflict(f"{server} differs in nothing that is not accepted.", reason="no_drift")
        locked.drift = {**locked.drift, "accepted": locked.drift["differences"]}
        locked.save(update_fields=["drift"])
        trail.record(
            actor=actor,
            name="server.drift_accepted",
            subject=f"server:{server.name}",
            environment=server.environment,
            data={"differences": accepted, "reason": reason},
        )
    server.refresh_from_db()


def put_back(*, actor: Actor, server: Server) -> Deployment:
    """Ask for the release that the record names, as anybody would: with approvals where they are needed.

    Raises NotAllowed, InvalidRequest, EnvironmentBusy, Conflict when nothing runs or nothing differs.
    """
    require(actor, Verb.REQUEST, server.environment)
    if server.current_release is None or not server.open_drift:
        raise Conflict(f"There is nothing to put back on {server}.", reason="no_drift")
    return request_deployment(
        actor=actor,
        release=server.current_release,
        environment=server.environment,
        reason=f"put back what differs on {server.name}",
    )
