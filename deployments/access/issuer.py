"""The issuer of single sign-on (OpenID Connect), asked through Authlib: state, nonce, PKCE and the token's signature.

TargetError
└── SignOnFailed    the issuer does not answer, or with something that proves nobody (HTTP 502)
"""

import functools
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from joserfc.errors import JoseError

from engine.errors import TargetError

TIMEOUT_SECONDS = 5
_ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
"""What signs with a key that only the issuer has; whatever the issuer says of others."""


class SignOnFailed(TargetError):
    """Nobody was proven."""

    reason = "sign_on_failed"
    permanent = False


def is_set_up() -> bool:
    """Whether there is an issuer to ask."""
    return bool(settings.OIDC_ISSUER and settings.OIDC_CLIENT_ID)


def sent_there(request: HttpRequest) -> HttpResponseRedirect:
    """Off to the issuer; what comes back fits this session alone. Raises SignOnFailed."""
    try:
        back = f"{settings.PORTAL_URL}{reverse('admin:sign_on_return')}"
        answer: HttpResponseRedirect = _client().authorize_redirect(request, back)
    except _ERRORS as error:
        raise _failed(error) from error
    return answer


def come_back(request: HttpRequest) -> dict[str, Any]:
    """The claims of whoever came back, proven by the issuer's signature for this very session. Raises SignOnFailed."""
    try:
        token = _client().authorize_access_token(request)
    except _ERRORS as error:
        raise _failed(error) from error
    claims: dict[str, Any] = token.get("userinfo") or {}
    if not claims.get("sub") or claims.get("iss") != settings.OIDC_ISSUER:
        raise SignOnFailed("The issuer of single sign-on sent nothing that proves who you are.", hint="Try again.")
    return claims


_ERRORS = (OAuthError, JoseError, requests.RequestException, ValueError, KeyError, RuntimeError)


def _failed(error: Exception) -> SignOnFailed:
    return SignOnFailed(
        f"Single sign-on did not work ({type(error).__name__}).", hint="Try again, or sign in another way."
    )


def _client() -> Any:
    parts = urlsplit(settings.OIDC_ISSUER)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise SignOnFailed("The issuer is asked over https only.", hint="Correct PORTAL_OIDC_ISSUER.")
    client = _made(settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET)
    client.load_server_metadata()["id_token_signing_alg_values_supported"] = _ALGORITHMS
    return client


@functools.lru_cache(maxsize=1)
def _made(issuer: str, identifier: str, secret: str) -> Any:
    return OAuth().register(
        "issuer",
        client_id=identifier,
        client_secret=secret or None,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile",
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_SECONDS,
            "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
        },
    )
