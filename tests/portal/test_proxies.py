"""Proxies as people's shells name them: what the portal asks on this machine and its network is asked itself."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerting import dead_mans_switch
from dashboard.readiness import conditions
from deployments.management.json_client import JsonClient
from engine.alertmanager import Alertmanager
from tests.dashboard.conftest import own_state, static_directory
from tests.engine.answering import service

__all__ = ["own_state", "service", "static_directory"]
pytestmark = pytest.mark.django_db

ENVIRONMENTS = [
    {"ALL_PROXY": "socks5://127.0.0.1:9"},
    {"ALL_PROXY": "socks4://127.0.0.1:9"},
    {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
    {"HTTP_PROXY": "http://[fe80::1", "http_proxy": "http://[fe80::1"},
    {"NO_PROXY": "localhost,[::1]"},
    {"NO_PROXY": "::1/128"},
    {"NO_PROXY": "fe80::/10", "HTTP_PROXY": "http://127.0.0.1:9"},
]


@pytest.fixture(params=ENVIRONMENTS, ids=str)
def proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    return dict(request.param)


def test_an_alertmanager_is_asked_itself(proxies: object, service: Callable[[bytes], str]) -> None:
    assert Alertmanager(service(b"[]")).silences() == []


def test_prometheus_is_asked_itself(proxies: object, service: Callable[[bytes], str], settings: Any) -> None:
    settings.PROMETHEUS_URL = service(b'{"data": {"result": []}}')
    assert conditions.collected([], conditions.series()).sentence == "Not collected from: any bot."


def test_a_token_for_this_machine_meets_no_proxy(proxies: object, service: Callable[[bytes], str]) -> None:
    assert JsonClient(service(b"{}"), "t").get("/") == {}


@pytest.mark.parametrize("page", ["/silences/", "/readiness/", "/"])
def test_pages_are_read(proxies: object, page: str) -> None:
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    assert reader.get(page).status_code == 200


def test_whatever_a_proxy_of_the_environment_does_is_a_warning(
    proxies: dict[str, str], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PING_URL = "http://127.0.0.1:9/a-secret-path"
    dead_mans_switch._ping()
    assert "did not take a ping" in caplog.text
    assert "a-secret-path" not in caplog.text
