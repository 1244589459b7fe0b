"""The journal at the portal's end: who reads it, and what a server cannot do by what it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from deployments.core.masking import Mask
from deployments.core.moments import moment
from deployments.models import AuditEvent, Server
from deployments.operations.journal import LONGEST, Line, LogQuery, _Listener
from engine.errors import InvalidRequest, TargetError
from engine.host.agent.logs import as_line
from tests.deployments.world import World

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def heard(*records: dict[str, Any], most: int = 10) -> list[Line]:
    said: list[Line] = []
    listen = _Listener(Mask([("CYTUBE_PASSWORD", "hunter22")]), said.append, most)
    for record in records:
        listen({"kind": "line", "at": 1e9, "unit": "a.service", "level": "info", "text": "x", **record})
    return said


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"text": "signs in with hunter22"}, "signs in with [secret CYTUBE_PASSWORD]"),
        ({"text": "\x1b[2J\u202egnp"}, "[U+001B][2J[U+202E]gnp"),
        ({"text": "two\nlines"}, "two[U+000A]lines"),
        ({"text": None}, "None"),
        ({"text": "x" * (LONGEST - 5) + "hunter22 and more"}, "x" * (LONGEST - 5) + "[secret CYTUBE_PASSWORD]"),
    ],
)
def test_a_line_is_masked_cut_and_made_visible(sent: dict[str, Any], shown: str) -> None:
    assert heard(sent)[0].text == shown


@pytest.mark.parametrize("at", ["soon", None, 1e300, float("nan"), [], {}])
def test_whatever_a_server_calls_a_time_is_one(at: Any) -> None:
    assert heard({"at": at})[0].at.tzinfo is not None


def test_more_lines_than_were_asked_for_end_it() -> None:
    with pytest.raises(TargetError, match="more lines"):
        heard(*[{}] * 11)


def test_what_is_no_level_or_unit_is_none() -> None:
    [line] = heard({"level": "<b>", "unit": "\u202e" * 500, "kind": "line"})
    assert line.level == "info"
    assert "\u202e" not in line.unit


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": [104, 105, 255]}', "hi\ufffd"),
        (b'{"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": null}', "(too long for the journal)"),
        (b'{"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": "x", "PRIORITY": "99"}', "x"),
    ],
)
def test_what_a_unit_wrote_is_text_whatever_it_was(line: bytes, text: str) -> None:
    entry = as_line(line)
    assert entry is not None
    assert entry["text"] == text


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"MESSAGE": "no time"}', b'"text"'])
def test_what_is_no_line_of_a_journal_is_left_out(line: bytes) -> None:
    assert as_line(line) is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None),
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2 h", NOW - timedelta(hours=2)),
        ("2026-05-04T09:30", datetime(2026, 5, 4, 9, 30, tzinfo=UTC)),
        ("2026-05-04T09:30+02:00", datetime(2026, 5, 4, 7, 30, tzinfo=UTC)),
    ],
)
def test_moments_as_people_write_them(text: str, at: datetime | None) -> None:
    assert moment(text, NOW) == at


@pytest.mark.parametrize("wrong", [{"level": "loud"}, {"lines": 0}, {"lines": 10**9}, {"grep": "x" * 201}])
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        LogQuery(**wrong)


@pytest.mark.parametrize("text", ["yesterday", "999999d", "12:30", "2026-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no moment"):
        moment(text, NOW)


def test_a_page_without_an_answer_keeps_what_was_typed_and_says_why(world: World) -> None:
    world.succeeded(world.releases[0])
    Server.objects.filter(environment=world.production).update(host="127.0.0.1", port=1)
    server = Server.objects.get(environment=world.production)
    url = reverse("journal", args=[server.name])
    answer = world.client("operator").get(url, {"grep": "<b>room", "since": "yesterday"})
    assert "is no moment" in answer.content.decode()
    assert "&lt;b&gt;room" in answer.content.decode()
    assert answer.status_code == 422
    assert "has no SSH key yet" in world.client("operator").get(url).content.decode()
    assert AuditEvent.objects.filter(name="service.journal_read").count() == 1
    assert world.client("viewer").get(url).status_code == 403
    assert world.client("none").get(url).status_code == 403


def test_no_look_stays_off_the_record_by_calling_itself_the_next(world: World) -> None:
    world.succeeded(world.releases[0])
    server = Server.objects.get(environment=world.production)
    client, url = world.client("operator"), reverse("journal", args=[server.name])
    reads = AuditEvent.objects.filter(name="service.journal_read")
    client.get(url, {"part": "live", "grep": "mail"})
    assert reads.count() == 1, "the first look"
    client.get(url, {"part": "live", "grep": "mail"})
    client.get(url, {"part": "live", "grep": "mail"})
    assert reads.count() == 1, "the page that follows it"
    client.get(url, {"part": "live", "grep": "phone"})
    assert reads.count() == 2, "another search"
    client.get(url, {"part": "live", "grep": "phone", "download": "1"})
    assert reads.count() == 3, "thousands of lines at once"
    client.get(url, {"part": "live", "grep": "mail"})
    assert reads.count() == 3, "two pages side by side"
    world.client("operator").get(url, {"part": "live", "grep": "mail"})
    assert reads.count() == 4, "somebody else's session"
