"""A portal with people, and an issuer that it believes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from deployments.github import issuer as issuers
from deployments.github.bindings import bind_workflow
from deployments.models import Scope, WorkflowBinding
from tests.deployments.github.issuer import Issuer, issuing
from tests.deployments.world import World


@pytest.fixture
def issuer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """GitHub, as far as the portal knows; asked for keys as often as there is need."""
    monkeypatch.setattr(issuers, "_ISSUERS", {})
    monkeypatch.setattr(issuers, "AGAIN_SECONDS", 0.0)
    with issuing(settings.PORTAL_URL) as running:
        settings.GITHUB_ISSUER = running.url
        yield running


@pytest.fixture
def bind(world: World) -> Callable[..., WorkflowBinding]:
    """`bind(ref="refs/tags/v*")`: a binding of the stand-in's run, with something else about it."""

    def make(**changes: Any) -> WorkflowBinding:
        about = {
            "name": "Deploys of the bot",
            "repository": "acme/bot",
            "repository_id": 4711,
            "ref": "refs/heads/main",
            "github_environment": "portal",
            "scopes": [Scope.READ, Scope.RELEASE, Scope.DEPLOY],
        }
        return bind_workflow(actor=world.people["administrator"], **{**about, **changes})

    return make


@pytest.fixture
def swap() -> Callable[..., Any]:
    """`swap(identity)`: the answer to an exchange."""

    def exchange(identity: str, **more: str) -> Any:
        urn = "urn:ietf:params:oauth"
        form = {
            "grant_type": f"{urn}:grant-type:token-exchange",
            "subject_token": identity,
            "subject_token_type": f"{urn}:token-type:id_token",
            **more,
        }
        return Client().post("/api/v1/tokens/exchange", form)

    return exchange
