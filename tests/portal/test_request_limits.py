"""How much and how often, request by request, whatever server is in front."""

from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from deployments.access.sign_ins import FAILED, FAILURES_OF_A_NAME, RECORDED_FAILURES, counted_address
from deployments.http import limits
from deployments.models import AuditEvent
from portal import request_limits
from portal.incoming_requests import BODY_BYTES

pytestmark = pytest.mark.django_db
PASSWORD = "a good long password"


@pytest.fixture(autouse=True)
def _own_counters(state_dir: Path, settings: Any) -> None:
    settings.STATIC_ROOT = state_dir / "static"
    settings.STATIC_ROOT.mkdir()
    User.objects.create_superuser("anna", password=PASSWORD)


def sign_in(address: str, name: str = "anna", password: str = "wrong", agent: str = "tests") -> Any:
    return Client().post(
        reverse("admin:login"),
        {"username": name, "password": password},
        headers={"X-Forwarded-For": address, "User-Agent": agent},
    )


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        ("nonsense", ""),
        ("203.0.113.9, 2001:db8:1:2::1", "2001:db8:1:2::"),
    ],
)
def test_an_address_counts_as_its_network(address: str, counted: str) -> None:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": address}
    assert counted_address(request) == counted


def test_a_network_is_locked_out_as_one() -> None:
    for number in range(5):
        assert sign_in(f"2001:db8:1:2::{number}").status_code in (200, 429, 403)
    assert sign_in("2001:db8:1:2:ffff::9", password=PASSWORD).status_code == 429
    assert sign_in("2001:db8:1:3::1", password=PASSWORD).status_code == 302


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_a_name_is_locked_out_from_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "ALL_SIGN_INS", 10_000)
    told = [sign_in(f"198.51.100.{number}", name).status_code for number in range(FAILURES_OF_A_NAME)]
    assert set(told[:-1]) == {200}
    assert told[-1] == 429
    last = sign_in("203.0.113.1", name, PASSWORD)
    assert last.status_code == 429, "a name that nobody has answers the same"
    assert AuditEvent.objects.filter(name=FAILED).count() == RECORDED_FAILURES
    AccessAttempt.objects.all().delete()
    assert sign_in("203.0.113.1", name, PASSWORD).status_code == (302 if name == "anna" else 200)


def test_names_and_browsers_that_change_are_held_off_all_the_same() -> None:
    told = [sign_in("192.0.2.7", f"name{n}", agent=f"agent{n}").status_code for n in range(3 * request_limits.SIGN_INS)]
    assert told.count(200) <= 2 * request_limits.SIGN_INS
    assert told[-1] == 429
    assert AccessAttempt.objects.count() <= 2 * request_limits.SIGN_INS
    assert sign_in("192.0.2.8", password=PASSWORD).status_code == 302


def test_strangers_together_do_not_hold_up_people_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "ALL_VISITS", 3)
    told = [Client().get("/", headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(9)]
    assert told[-1] == 429
    anna = Client()
    anna.force_login(User.objects.get(username="anna"), backend="django.contrib.auth.backends.ModelBackend")
    assert anna.get("/deployments/", headers={"X-Forwarded-For": "192.0.2.99"}).status_code == 200
    assert Client().get("/healthz").status_code == 200
    later = Client().get("/api/v1/docs", headers={"X-Forwarded-For": "192.0.2.200"})
    assert (later.status_code, later.json()["reason"]) == (429, "too_many_requests")
    assert int(later["Retry-After"]) > 0


@pytest.mark.parametrize("header", ["x", "Bearer x", "Bearer cyop_x", "Basic eDp5"])
@pytest.mark.parametrize(
    "path", ["/", "/readiness/", "/api/v1/docs", "/api/v1/openapi.json", "/healthz", "/api/health"]
)
def test_no_header_takes_a_page_out_of_the_limits(path: str, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "VISITS", 2)
    sent = {"X-Forwarded-For": "192.0.2.7", "Authorization": header}
    assert [Client().get(path, headers=sent).status_code for _ in range(5)][-1] == 429


def test_a_token_has_limits_of_its_own_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "VISITS", 1)
    sent = {"X-Forwarded-For": "192.0.2.7", "Authorization": "Bearer cyop_x"}
    assert {Client().get("/api/v1/deployments", headers=sent).status_code for _ in range(9)} == {401}


def test_a_crowd_of_strangers_pushes_no_count_out(state_dir: Path) -> None:
    counter = limits.Counter(state_dir / "limits.bin")
    for _ in range(50):
        counter.count("sign-ins", now=0)
    for number in range(60_000):
        counter.count(f"visit:2001:db8:{number:x}::", now=1)
    assert counter.count("sign-ins", now=2) == 51
    assert counter.count("sign-ins", now=limits.WINDOW_SECONDS) == 1
    assert counter.path.stat().st_size < 1 << 20


def test_nobody_can_tell_which_counts_lie_side_by_side(state_dir: Path, settings: Any) -> None:
    places = set()
    for key in ("one secret", "another secret"):
        settings.SECRET_KEY = key
        counter = limits.Counter(state_dir / key)
        counter.count("sign-ins", now=0)
        places.add(counter.path.stat().st_size)
    assert len(places) == 2


def test_one_visitor_has_so_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "VISITS", 3)
    told = [Client().get("/", headers={"X-Forwarded-For": "192.0.2.7"}).status_code for _ in range(9)]
    assert told[-1] == 429
    assert Client().get("/", headers={"X-Forwarded-For": "192.0.2.8"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/nowhere", "/api/v1/heartbeats", "/api/v1/releases/x"])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(path: str) -> None:
    class Untouched:
        def read(self, *_: Any) -> bytes:
            raise AssertionError("it was read")

        readline = read

    sent: dict[str, Any] = {"CONTENT_LENGTH": str(BODY_BYTES + 1), "wsgi.input": Untouched()}
    answer = Client().generic("POST", path, **sent)
    assert answer.status_code == 413
    assert answer.json()["reason"] == "too_large"
