"""A small organisation: two environments with a server each, two releases, and somebody in every role."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from deployments.core.actors import Actor
from deployments.github.accounts import confirm_account, link_account
from deployments.models import Deployment, Environment, GitHubAccount, Release, Server
from deployments.requests.requests import request_deployment
from deployments.requests.snapshots import take_snapshot
from deployments.requests.targets import write_targets
from tests.fixtures.records import hand_token, record_success

PEOPLE = {
    "none": (),
    "viewer": ("viewer",),
    "operator": ("operator",),
    "approver": ("approver",),
    "administrator": ("administrator",),
    "requester": ("viewer", "operator", "approver", "administrator"),
    "colleague": ("operator", "administrator"),
}
REFUSED = frozenset({"not_allowed", "four_eyes"})


@dataclass
class World:
    """Records, and the three ways in."""

    people: dict[str, Actor]
    releases: list[Release]
    servers: dict[str, Server]
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def test(self) -> Environment:
        """The environment without approvals."""
        return Environment.objects.get(name="test")

    @property
    def production(self) -> Environment:
        """The environment with approvals."""
        return Environment.objects.get(name="production")

    def user(self, who: str) -> User:
        """The account behind a name of the table."""
        return User.objects.get(username=self.people[who].name)

    def request(
        self, by: str = "colleague", environment: str = "production", reason: str = "because", **more: Any
    ) -> Deployment:
        """A request by somebody."""
        return request_deployment(
            actor=self.people[by],
            release=self.releases[1],
            environment=Environment.objects.get(name=environment),
            reason=reason,
            **more,
        )

    def succeeded(self, release: Release, environment: str = "production", **more: Any) -> Deployment:
        """A deployment that succeeded earlier, as its request, its approval and its end leave the records."""
        home = Environment.objects.get(name=environment)
        snapshot = take_snapshot(environment=home, release=release)
        made = record_success(home, release, snapshot, **more)
        write_targets(made, snapshot)
        Server.objects.filter(environment=home).update(current_release=release)
        return made

    def link_github(self, who: str, account_id: int = 1001, login: str = "alice-gh") -> GitHubAccount:
        """Somebody's account on GitHub, which a second person has confirmed."""
        person = self.user(who)
        link_account(actor=self.people[who], person=person, login=login, account_id=account_id)
        return confirm_account(
            actor=self.people["administrator" if who == "approver" else "approver"],
            person=person,
            account_id=account_id,
        )

    def client(self, who: str) -> Client:
        """A browser in which somebody is signed in."""
        client = Client(raise_request_exception=True)
        client.force_login(self.user(who), backend="django.contrib.auth.backends.ModelBackend")
        return client

    def token(self, who: str) -> str:
        """A token of somebody with every scope."""
        if who not in self._tokens:
            self._tokens[who] = hand_token(self.user(who), f"of {who}")
        return self._tokens[who]

    def api(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """An API call with somebody's token."""
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(Client(), method)(f"/api/v1{path}", headers=headers, **sent)

    def command(self, who: str, name: str, *arguments: object) -> tuple[int, str]:
        """A management command with somebody's token, or as the shell; exit code and output."""
        out = io.StringIO()
        with _token_in_environment(None if who.startswith("shell") else self.token(who)):
            try:
                call_command(name, *map(str, arguments), "--json", stdout=out, stderr=io.StringIO())
            except CommandError as error:
                return error.returncode, str(error)
            except SystemExit as stopped:
                return int(stopped.code or 0), out.getvalue()
        return 0, out.getvalue()

    def command_passes(self, who: str, name: str, *arguments: object) -> bool:
        """Whether a command gets past the question who may (what comes after may fail: there is no server here)."""
        _, said = self.command(who, name, *arguments)
        try:
            document = json.loads(said)
        except ValueError:
            return True
        return not (isinstance(document, dict) and document.get("error") in REFUSED)


@contextmanager
def _token_in_environment(text: str | None) -> Iterator[None]:
    before = os.environ.pop("PORTAL_TOKEN", None)
    if text is not None:
        os.environ["PORTAL_TOKEN"] = text
    try:
        yield
    finally:
        os.environ.pop("PORTAL_TOKEN", None)
        if before is not None:
            os.environ["PORTAL_TOKEN"] = before
