"""Questions over HTTP: whatever goes wrong is a sentence."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from engine.alertmanager import Alertmanager, AlertmanagerError
from engine.http_client import Unanswered, ask
from tests.engine.answering import service

__all__ = ["service"]


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a b/", "http://\u2028/", "http://127.0.0.1:99999", "gopher://x"]
)
def test_an_address_that_is_none_is_a_sentence(url: str) -> None:
    with pytest.raises(Unanswered):
        ask("GET", url, timeout=1)
    with pytest.raises(AlertmanagerError, match="does not answer"):
        Alertmanager(url).silences()


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b'[{"id": 1}]', b'{"silenceID": 1', b"\xff"])
def test_something_else_at_the_address_is_a_sentence(service: Callable[[bytes], str], body: bytes) -> None:
    client, now = Alertmanager(service(body)), datetime.now(UTC)
    asked: list[Callable[[], object]] = [
        client.integrations,
        client.running_since,
        lambda: client.create_silence(matchers=[], starts_at=now, ends_at=now, created_by="", comment=""),
    ]
    if body != b"{}":
        asked += [client.silences, client.alerts]
    for one in asked:
        with pytest.raises(AlertmanagerError):
            one()
