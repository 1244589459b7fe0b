"""Who came in, who did not and from where: what the trail says of it, and how terminals ask."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from deployments.access import second_factor
from deployments.access.sign_ins import (
    FAILURES_OF_A_NAME,
    LOCKED_OUT,
    client_address,
    counted_address,
    sign_in_at_terminal,
)
from deployments.models import AuditEvent, SigningKey
from engine.errors import NotAllowed
from portal import request_limits
from tests.deployments.world import World


@pytest.fixture(autouse=True)
def _own_limits(state_dir: Any) -> None:
    """Sign-ins are counted across tests."""


@pytest.mark.parametrize(
    ("direct", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "203.0.113.1", "192.0.2.7"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::1", "203.0.113.9, 203.0.113.1", "203.0.113.1"),
        ("", "203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("", None, ""),
        ("198.51.100.5", "203.0.113.9, 203.0.113.1", "203.0.113.1"),
        ("198.51.100.5", None, "198.51.100.5"),
    ],
)
def test_only_a_proxy_of_this_machine_or_a_named_one_says_where_a_request_came_from(
    direct: str, forwarded: str | None, address: str, settings: Any
) -> None:
    settings.PROXIES = ["198.51.100.5"]
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": direct} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})
    assert client_address(request) == address


def test_what_is_no_request_came_from_nowhere() -> None:
    assert (client_address(None), counted_address(None)) == ("", "")


def test_a_sign_in_without_a_session_is_on_record(world: World) -> None:
    user_logged_in.send(User, request=RequestFactory().get("/"), user=world.user("viewer"))
    event = AuditEvent.objects.get(name="person.signed_in")
    assert (event.actor, event.subject) == ("viewer", "person:viewer")
    assert event.data == {"address": "127.0.0.1", "by": "password"}


def test_a_lock_out_is_told_once_of_each_address_and_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "SIGN_INS", 100)
    for address, name in (("192.0.2.7", "operator"), ("192.0.2.8", "operator"), ("192.0.2.7", "viewer")):
        client = Client(REMOTE_ADDR=address)
        for _ in range(7):
            client.post(reverse("admin:login"), {"username": name, "password": "wrong"})
    told = AuditEvent.objects.filter(name=LOCKED_OUT).order_by("sequence")
    assert [(row.actor, row.subject, row.data["address"]) for row in told] == [
        ("system:sign-in", "person:operator", "192.0.2.7"),
        ("system:sign-in", "person:operator", "192.0.2.8"),
        ("system:sign-in", "person:viewer", "192.0.2.7"),
    ]


def test_a_name_that_was_guessed_from_everywhere_locks_out_nobody_else(world: World) -> None:
    def sign_in(name: str) -> int:
        sent = {"username": name, "password": f"password of {name}"}
        return Client(REMOTE_ADDR="203.0.113.1").post(reverse("admin:login"), sent).status_code

    now = timezone.now()
    for name, failures, hours in (
        ("viewer", FAILURES_OF_A_NAME, 0),
        ("operator", FAILURES_OF_A_NAME - 1, 0),
        ("approver", FAILURES_OF_A_NAME, settings.AXES_COOLOFF_TIME + 1),
    ):
        row = AccessAttempt.objects.create(
            username=name, ip_address="198.51.100.1", failures_since_start=failures, path_info="/"
        )
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=now - timedelta(hours=hours))
    assert {name: sign_in(name) for name in ("viewer", "operator", "approver")} == {
        "viewer": 429,
        "operator": 302,
        "approver": 302,
    }


def test_a_terminal_asks_for_a_code_only_where_there_is_one(world: World) -> None:
    def never() -> str:
        raise AssertionError("nobody has a code here")

    sent = {"username": "viewer", "password": "password of viewer", "login": "root"}
    assert sign_in_at_terminal(**sent, ask_code=never) == world.user("viewer")
    event = AuditEvent.objects.get(name="person.signed_in")
    assert (event.actor, event.subject, event.data) == ("viewer", "person:viewer", {"address": "terminal of root"})
    with pytest.raises(NotAllowed, match="do not match"):
        sign_in_at_terminal(**{**sent, "password": "wrong"}, ask_code=never)


def test_a_key_that_signs_approvals_and_is_no_passkey_is_no_second_factor(world: World) -> None:
    made = SigningKey.objects.create(person="viewer", name="laptop", public_key="x", fingerprint="SHA256:x")
    assert not second_factor.is_needed(world.user("viewer"))
    SigningKey.objects.filter(pk=made.pk).update(credential="abc")
    assert second_factor.is_needed(world.user("viewer"))
    assert not second_factor.is_needed(world.user("operator"))
