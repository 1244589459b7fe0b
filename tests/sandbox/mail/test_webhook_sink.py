"""Posts that are sent are kept, and answered as Slack answers."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.mail import NothingArrived, NotListening, WebhookSink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[WebhookSink]:
    with WebhookSink(directory=tmp_path / "posts", now=lambda: 1000.0) as running:
        yield running


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_a_slack_message_is_kept(sink: WebhookSink, tmp_path: Path) -> None:
    body = {"text": "Deployment 7 failed", "attachments": [{"title": "prod-1", "text": "disk full", "color": "danger"}]}
    assert post(sink.url, json.dumps(body).encode()) == (200, "ok")
    kept = sink.wait_for(lambda each: "failed" in each.text)
    assert kept.data == body
    assert kept.text == "Deployment 7 failed\nprod-1\ndisk full"
    assert (kept.arrived, kept.status, kept.headers["content-type"]) == (1000.0, 200, "application/json")
    assert kept.file is not None
    assert json.loads(kept.file.read_text()) == body
    assert kept.file.parent == tmp_path / "posts"


def test_a_form_with_a_payload_is_a_slack_message_too(sink: WebhookSink) -> None:
    body = urllib.parse.urlencode({"payload": json.dumps({"text": "hi"})}).encode()
    assert post(sink.url, body, "application/x-www-form-urlencoded") == (200, "ok")
    assert sink.messages[0].text == "hi"


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b"{", "invalid_payload"), (b"[]", "invalid_payload"), (b"\xff", "invalid_payload"), (b"{}", "no_text")],
)
def test_what_slack_refuses_is_refused_and_kept(sink: WebhookSink, body: bytes, answer: str) -> None:
    assert post(sink.url, body) == (400, answer)
    assert [(each.status, each.body) for each in sink.messages] == [(400, body)]


def test_other_paths_take_anything(sink: WebhookSink) -> None:
    url = f"http://127.0.0.1:{sink.port}/alerts"
    assert post(url, b'{"alerts": []}') == (200, "ok")
    assert post(url, b"plain", "text/plain") == (200, "ok")
    assert [(each.path, each.data) for each in sink.messages] == [("/alerts", {"alerts": []}), ("/alerts", None)]


def test_a_body_that_is_too_large_is_refused_unread(sink: WebhookSink) -> None:
    request = urllib.request.Request(sink.url, headers={"Content-Length": "1000001"}, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=60):
        pass
    with refused.value as answer:
        assert answer.code == 413
    assert sink.messages == []


def test_a_wait_without_success_raises(sink: WebhookSink) -> None:
    with pytest.raises(NothingArrived, match="No matching POST"):
        sink.wait_for(lambda each: True, deadline=0.01)


def test_without_start_there_is_no_address() -> None:
    sink = WebhookSink()
    for _ in range(2):
        with pytest.raises(NotListening):
            _ = sink.url
        sink.start()
        assert sink.url.startswith("http://127.0.0.1:")
        sink.stop()
