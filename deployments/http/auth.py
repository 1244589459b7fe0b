"""Who calls: a bearer token, its scopes and its owner."""

from typing import cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from deployments.access.policy import require, token_actor, usable_scopes
from deployments.access.tokens import authenticate
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.http import limits
from deployments.http.problems import Unauthenticated
from deployments.models import ApiToken, Scope, Server
from engine.errors import NotAllowed


class BearerToken(HttpBearer):
    """`Authorization: Bearer cyop_…`; `request.auth` becomes the token. Raises Unauthenticated when there is none."""

    openapi_name = "token"

    def __call__(self, request: HttpRequest) -> ApiToken:
        """The token of a request; who comes without one is counted. Raises Unauthenticated."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text:
            limits.spend("strangers", limits.STRANGERS)
            raise Unauthenticated("This needs an API token.", hint="Send the header Authorization: Bearer cyop_….")
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        """The valid token with this text."""
        found = authenticate(token) if token.isascii() else None
        if found is None:
            limits.spend("strangers", limits.STRANGERS)
            raise Unauthenticated(
                "The token is unknown, expired or revoked.", hint="Ask an administrator for a new one."
            )
        return found


def token_of(request: HttpRequest) -> ApiToken:
    """The token that `BearerToken` found."""
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]  # set by ninja


def actor_of(request: HttpRequest) -> Actor:
    """Who acts: the token with its owner's roles."""
    return token_actor(token_of(request))


def reader(request: HttpRequest) -> Actor:
    """The actor, who may view; raises NotAllowed."""
    actor = actor_of(request)
    require(actor, Verb.VIEW)
    return actor


def require_scope(token: ApiToken, scope: Scope) -> None:
    """Raise NotAllowed unless `token` has `scope`; for the scopes of machines.

    What machines deliver is believed, so a person's token delivers nothing; one that reads needs an owner with a role.
    """
    if scope not in token.scopes:
        raise NotAllowed(f"The token {token.name} may not do this.", hint=f"It needs the scope {scope.value}.")
    if token.owner is not None and (scope != Scope.METRICS or scope not in usable_scopes(token.owner)):
        raise NotAllowed(
            f"The token {token.name} belongs to {token.owner.get_username()}, not to a machine.",
            hint="An administrator makes tokens of machines: for a server, or belonging to nobody.",
        )


def server_of(token: ApiToken) -> Server:
    """The server a token speaks for; raises NotAllowed when it speaks for none, or for a retired one."""
    if token.server is None:
        raise NotAllowed(
            f"The token {token.name} belongs to no server.", hint="Use the token that was made for this bot's server."
        )
    if token.server.state == Server.State.RETIRED:
        raise NotAllowed(f"The server {token.server} is retired.", hint="Stop the bot there, or enrol the server anew.")
    return token.server
