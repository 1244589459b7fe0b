"""Who a workflow's run is, by an identity that GitHub signed (OpenID Connect)."""

import time
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings

from deployments.github.issuer import keys_of
from deployments.http.problems import Unauthenticated

ALGORITHMS = ("RS256", "ES256")
LEEWAY_SECONDS = 30
"""How far the issuer's clock and ours may be apart."""
OLDEST_SECONDS = 3600
"""An identity is exchanged within minutes; what is older is refused whatever it says, so numbers need not be kept."""
_TEXTS = ("jti", "actor", "actor_id", "repository", "repository_id", "ref", "event_name", "run_attempt", "run_id")
_PUSHED = frozenset({"push", "workflow_dispatch"})
_FIRST = "1"


@dataclass(frozen=True)
class WorkflowIdentity:
    """What the signed claims say; all of it was checked by the issuer."""

    number: str
    actor: str
    actor_id: int
    repository: str
    repository_id: int
    ref: str
    environment: str
    workflow: str
    run: str
    acted: bool
    """Whether the actor started this very run: pushed or dispatched it, and nobody started it again."""


def identity_of(text: str) -> WorkflowIdentity:
    """The run behind a signed identity. Raises Unauthenticated, saying what is wrong, and IssuerUnreachable."""
    issuer = settings.GITHUB_ISSUER
    try:
        number = jwt.get_unverified_header(text).get("kid")
        key = keys_of(issuer).get(number) if isinstance(number, str) else None
        if key is None:
            raise _refused("is signed with a key that the issuer does not have")
        claims = jwt.decode(
            text,
            key,
            algorithms=ALGORITHMS,
            audience=settings.PORTAL_URL,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "nbf", "iat", "iss", "aud", "jti"], "strict_aud": True},
        )
    except RecursionError as error:  # nested so deeply that it cannot be read
        raise _refused("is not one that the issuer signed") from error
    except jwt.PyJWTError as error:
        raise _refused(_WHY.get(type(error), "is not one that the issuer signed")) from error
    if time.time() - claims["iat"] > OLDEST_SECONDS:
        raise _refused("was issued more than an hour ago")
    return _read(claims)


def _read(claims: dict[str, Any]) -> WorkflowIdentity:
    texts = {name: claims.get(name) for name in (*_TEXTS, "workflow_ref")}
    if any(not isinstance(text, str) or not text or "\x00" in text for text in texts.values()):
        raise _refused("is no workflow's: a claim is missing")
    environment = claims.get("environment", "")
    try:
        numbers = {name: int(str(texts[name])) for name in ("actor_id", "repository_id")}
    except ValueError as error:
        raise _refused("is no workflow's: a claim is no number") from error
    file, _, ref = str(texts["workflow_ref"]).partition("@")
    home = f"{texts['repository']}/"
    ours = file.startswith(home) and ref == texts["ref"]
    return WorkflowIdentity(
        number=str(texts["jti"]),
        actor=str(texts["actor"]),
        repository=str(texts["repository"]),
        ref=str(texts["ref"]),
        environment=environment if isinstance(environment, str) else "",
        workflow=file.removeprefix(home) if ours else "",
        run=str(texts["run_id"]),
        acted=texts["event_name"] in _PUSHED and texts["run_attempt"] == _FIRST,
        **numbers,
    )


_WHY: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.InvalidAudienceError: "is meant for somebody else",
    jwt.InvalidIssuerError: "is by another issuer",
    jwt.InvalidAlgorithmError: "is signed in a way that is not taken (RS256 and ES256 are)",
}


def _refused(what: str) -> Unauthenticated:
    return Unauthenticated(
        f"The identity {what}.",
        hint=f"Ask GitHub for one with the audience {settings.PORTAL_URL}, and exchange it once, at once.",
        reason="identity_refused",
    )
