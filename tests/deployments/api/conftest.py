"""People with tokens, a release that was really built, and a client that speaks JSON."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from deployments.access.policy import usable_scopes, user_actor
from deployments.access.tokens import issue_token
from deployments.models import ApiToken, Environment, Release, Scope, Server

MakePerson = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_state(state_dir: Path, settings: Any) -> Path:
    """Limits and keys in files of this test's own; a directory of static files, which WhiteNoise asks for."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    return state_dir


@dataclass
class Caller:
    """A program with a token."""

    token: str
    client: Client

    def get(self, path: str, **query: Any) -> Any:
        """GET below /api/v1."""
        return self.client.get(f"/api/v1{path}", query, headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST JSON below /api/v1."""
        return self.client.post(
            f"/api/v1{path}", json.dumps(body), content_type="application/json", headers=self.headers | headers
        )

    @property
    def headers(self) -> dict[str, str]:
        """The token as a header."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


@pytest.fixture
def caller(make_person: MakePerson) -> Callable[..., Caller]:
    """`caller("olga", "operator", scopes=[…])`: a program with a token of a person with that role."""

    def make(name: str, *roles: str, scopes: list[Scope] | None = None, **more: Any) -> Caller:
        user = User.objects.filter(username=name).first()
        if user is None:
            make_person(name, *roles)
            user = User.objects.get(username=name)
        _, text = issue_token(
            actor=user_actor(user),
            name=f"token {ApiToken.objects.count()}",
            scopes=scopes if scopes is not None else usable_scopes(user) - {Scope.ADMINISTER, Scope.METRICS},
            owner=user,
            **more,
        )
        return Caller(str.__str__(text), Client())

    return make


@pytest.fixture
def olga(caller: Callable[..., Caller]) -> Caller:
    """An operator's program."""
    return caller("olga", "operator")


@pytest.fixture
def anna(caller: Callable[..., Caller]) -> Caller:
    """An approver's program."""
    return caller("anna", "approver")


@pytest.fixture
def test_server(ready_server: Callable[[Environment], Server]) -> Server:
    """A server in `test`."""
    return ready_server(Environment.objects.get(name="test"))


@pytest.fixture
def production_server(ready_server: Callable[[Environment], Server]) -> Server:
    """A server in `production`, which asks for one approval."""
    home = Environment.objects.get(name="production")
    assert home.approvals_required == 1
    return ready_server(home)


@pytest.fixture
def example(make_release: Callable[[str], Release]) -> Release:
    """Version 1.0.0 of the example bot."""
    return make_release("1.0.0")
