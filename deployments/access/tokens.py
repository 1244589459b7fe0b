"""API tokens: shown once, stored as a hash, narrowed by scope, expiring."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from deployments.access.policy import require, usable_scopes
from deployments.access.verbs import PERSONAL, Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.disk_full import is_full
from deployments.core.texts import checked
from deployments.models import ApiToken, Environment, Scope, Server
from deployments.models.encryption import SecretText
from engine.errors import InvalidRequest, NotAllowed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PREFIX = "cyop_"
MAX_DAYS = 365
_LAST_USE_RESOLUTION = timedelta(minutes=1)


@transaction.atomic
def issue_token(
    *,
    actor: Actor,
    name: str,
    scopes: Iterable[Scope],
    owner: "User | None" = None,
    server: Server | None = None,
    environment: Environment | None = None,
    days: int | None = 90,
) -> tuple[ApiToken, SecretText]:
    """Make a token; the second value is its text, which exists nowhere else. `days` None never expires.

    People make tokens for themselves; for machines, which have no owner, an administrator does. What needs a person is
    done by tokens of that person's own making: else whoever makes tokens would be two people. Scopes that the owner's
    roles cannot use are refused. Raises NotAllowed, InvalidRequest.
    """
    chosen = sorted({Scope(scope).value for scope in scopes})
    if not chosen:
        raise InvalidRequest("A token needs at least one scope.", hint=f"Choose from {', '.join(Scope.values)}.")
    _authorise(actor, chosen, owner, server, environment)
    _refuse_unusable(chosen, owner, server)
    name = checked(name, what="A name", limit=100)
    _check(name, days)
    token = ApiToken(
        name=name,
        owner=owner,
        server=server,
        environment=environment,
        scopes=chosen,
        expires_at=timezone.now() + timedelta(days=days) if days else None,
        created_by=str(actor),
    )
    return store_token(actor=actor, token=token)


def store_token(*, actor: Actor, token: ApiToken, **more: str) -> tuple[ApiToken, SecretText]:
    """Give a token its text and its event, in the transaction of whoever has asked who may; `more` is recorded."""
    text = SecretText(PREFIX + secrets.token_urlsafe(32))
    token.digest, token.prefix = _digest(text), text[: len(PREFIX) + 4]
    token.save(force_insert=True)
    trail.record(
        actor=actor,
        name="token.issued",
        subject=f"token:{token.pk}",
        environment=token.environment or (token.server.environment if token.server else ""),
        data={
            "name": token.name,
            "scopes": token.scopes,
            "owner": token.owner.get_username() if token.owner else "",
            "server": str(token.server or ""),
            "expires": token.expires_at,
            **more,
        },
    )
    return token, text


@transaction.atomic
def revoke_token(*, actor: Actor, token: ApiToken) -> None:
    """End a token at once; doing it twice changes nothing. Everyone may end their own."""
    own = token.owner is not None and actor.identity == token.owner.get_username()
    require(actor, Verb.OWN_TOKEN if own else Verb.MANAGE_TOKENS, token.environment)
    revoke(actor, token)


def revoke_tokens_of(*, actor: Actor, person: "User") -> None:
    """End every token of a person; runs in the transaction of what ends them, which has asked who may."""
    for token in ApiToken.objects.filter(owner=person, revoked_at=None).select_related("owner", "environment"):
        revoke(actor, token)


def revoke(actor: Actor, token: ApiToken) -> None:
    """End a token, in the transaction of whoever has asked who may."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        trail.record(
            actor=actor,
            name="token.revoked",
            subject=f"token:{token.pk}",
            environment=token.environment or "",
            data={"name": token.name, "owner": token.owner.get_username() if token.owner else ""},
        )


def authenticate(text: str) -> ApiToken | None:
    """The valid token with this text, or None; notes its use once a minute at most."""
    now = timezone.now()
    valid = ApiToken.objects.filter(digest=_digest(text), revoked_at=None).filter(
        Q(expires_at=None) | Q(expires_at__gt=now)
    )
    # every heartbeat comes by here: no order for at most one row, and no environment with its keys to decrypt
    token = next(iter(valid.select_related("owner", "server", "binding").order_by()), None)
    if token is None or (token.owner is not None and not token.owner.is_active):
        return None
    if token.last_used_at is None or now - token.last_used_at > _LAST_USE_RESOLUTION:
        try:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        except DatabaseError as error:
            if not is_full(error):  # a full disk is no reason to refuse a reader
                raise
    return token


def _authorise(
    actor: Actor, scopes: list[str], owner: "User | None", server: Server | None, environment: Environment | None
) -> None:
    own = owner is not None and server is None and actor.identity == owner.get_username()
    require(
        actor, Verb.OWN_TOKEN if own else Verb.MANAGE_TOKENS, environment or (server.environment if server else None)
    )
    personal = sorted(PERSONAL.intersection(scopes))
    if owner is not None and not own and personal:
        raise NotAllowed(
            f"A token with the scope {' or '.join(personal)} is made by the person it belongs to.",
            hint=f"Let {owner.get_username()} sign in and make it themselves.",
            reason="four_eyes",
        )


def _refuse_unusable(scopes: list[str], owner: "User | None", server: Server | None) -> None:
    if owner is not None and server is not None:
        raise InvalidRequest(
            "A token is a person's or a machine's, not both.", hint="Leave the owner or the server away."
        )
    usable = sorted(usable_scopes(owner))
    if unusable := sorted(set(scopes) - set(usable)):
        raise InvalidRequest(
            f"{owner.get_username() if owner else 'A machine'} could not use the scope {' or '.join(unusable)}.",
            hint=f"Choose from {', '.join(usable)}." if usable else "Without a role nobody may do anything.",
            reason="unusable_scope",
        )


def _check(name: str, days: int | None) -> None:
    if not name:
        raise InvalidRequest("A token needs a name of at most 100 characters.", hint="Say what it is for.")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise InvalidRequest(f"A token is valid for 1 to {MAX_DAYS} days.")


def _digest(text: str) -> str:
    # 256 random bits need no slow hash
    return hashlib.sha256(text.encode()).hexdigest()
