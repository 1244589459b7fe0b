"""What counts as a health document."""

import json
from typing import Any

import pytest

from dashboard.errors import InvalidHealthResponse
from dashboard.health.document import HealthDocument, disconnected, parse
from tests.dashboard.conftest import DOCUMENT


def test_a_true_document_is_taken_as_it_is() -> None:
    assert json.loads(parse(json.dumps(DOCUMENT).encode()).model_dump_json()) == DOCUMENT


def test_it_has_exactly_the_eight_promised_fields() -> None:
    assert list(HealthDocument.model_fields) == [
        "status",
        "connected",
        "channel",
        "uptime",
        "version",
        "user_count",
        "requests",
        "errors",
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"connected": "true"}, "connected"),
        ({"connected": 1}, "connected"),
        ({"connected": False}, "contradict"),
        ({"status": "fine"}, "status"),
        ({"user_count": -1}, "user_count"),
        ({"user_count": "3"}, "user_count"),
        ({"user_count": 3.5}, "user_count"),
        ({"requests": 2**60}, "requests"),
        ({"uptime": -0.1}, "uptime"),
        ({"uptime": None}, "uptime"),
        ({"uptime": 1e300}, "uptime"),
        ({"channel": "a" * 101}, "channel"),
        ({"channel": "a\nb"}, "channel"),
        ({"version": ["1"]}, "version"),
        ({"password": "hunter2"}, "unexpected field"),
    ],
)
def test_a_lie_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidHealthResponse, match=word):
        parse(json.dumps(DOCUMENT | change).encode())


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b'{"status":', b"\xff\xfe", b"NaN", b"[" * 5000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidHealthResponse):
        parse(body)


def test_every_missing_field_is_refused() -> None:
    for field in DOCUMENT:
        with pytest.raises(InvalidHealthResponse, match=field):
            parse(json.dumps({key: value for key, value in DOCUMENT.items() if key != field}).encode())


def test_what_the_bot_sent_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(InvalidHealthResponse) as refusal:
        parse(json.dumps(DOCUMENT | {"status": "canary-secret"}).encode())
    assert "canary-secret" not in str(refusal.value)


def test_the_document_of_an_unknown_bot_is_complete_and_not_connected() -> None:
    body = json.loads(disconnected().model_dump_json())
    assert set(body) == set(DOCUMENT)
    assert body["connected"] is False
    assert body["status"] == "disconnected"
