"""Which keys and servers this machine holds to by itself: decided by whoever is at its shell, recorded for everybody.

The record cannot decide this: its whole point is that the database is not believed (`access.trust_anchor`).
"""

from django.db import transaction

from deployments.access import trust_anchor
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Server, SigningKey
from engine.errors import Conflict, NotFound


@transaction.atomic
def trust_key(*, actor: Actor, fingerprint: str) -> SigningKey:
    """Let a key that a second person confirmed count on this machine. Raises NotFound, Conflict."""
    key = _key(fingerprint)
    if key.state != "confirmed":
        raise Conflict(f"The key {key} is {key.state}.", hint="A second person confirms it in the portal first.")
    _record(actor, key, "key_trusted")
    trust_anchor.trust(key.person, key.public_key)
    return key


@transaction.atomic
def distrust_key(*, actor: Actor, fingerprint: str) -> SigningKey:
    """Let nothing that a key has signed count on this machine any more, successes of before neither."""
    key = _key(fingerprint)
    _record(actor, key, "key_distrusted")
    if not trust_anchor.distrust(key.public_key):
        raise Conflict(f"The key {key} did not count on this machine.", reason="not_trusted")
    return key


@transaction.atomic
def anchor_servers(*, actor: Actor) -> dict[str, int]:
    """Hold every server to the signed approvals that its environment asks for now, whatever the database says later.

    What succeeded there until now stays a rollback target. Returns how many each server takes, by its name.
    """
    held: dict[str, trust_anchor.Anchored] = {}
    numbers = {}
    for environment in Environment.objects.all():
        needed = max(1, environment.approvals_required) if environment.signed_approvals else 0
        seals = _earlier(environment) if needed else ()
        for server in environment.servers.exclude(state=Server.State.RETIRED):
            beside = held.get(server.host_key, trust_anchor.Anchored(0))  # the strictest of a machine's applications
            most, earlier = max(needed, beside.approvals), tuple(dict.fromkeys((*beside.earlier, *seals)))
            held[server.host_key] = trust_anchor.Anchored(most, earlier)
            numbers[server.name] = needed
    trail.record(actor=actor, name="portal.servers_anchored", subject="portal", data={"signed_approvals": numbers})
    trust_anchor.anchor(held)
    return numbers


def _earlier(environment: Environment) -> tuple[str, ...]:
    successes = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED, kind=Kind.DEPLOYMENT)
    return tuple(dict.fromkeys(successes.filter(break_glass=False).values_list("seal", flat=True)))


def _key(fingerprint: str) -> SigningKey:
    key = SigningKey.objects.filter(fingerprint=fingerprint).first()
    if key is None:
        raise NotFound(f"No signing key has the fingerprint {fingerprint}.", hint="See Signing keys in the portal.")
    return key


def _record(actor: Actor, key: SigningKey, event: str) -> None:
    trail.record(
        actor=actor, name=f"person.{event}", subject=f"person:{key.person}", data={"fingerprint": key.fingerprint}
    )
