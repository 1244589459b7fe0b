"""Fetching from bots that do not behave."""

import time

import pytest

from dashboard.errors import BotUnreachable, InvalidHealthResponse
from dashboard.health import upstream
from tests.dashboard.conftest import DOCUMENT, StandIn

QUICK = 0.4
"""A deadline in seconds that keeps the tests short."""
SLACK = 1.0


def fetch(bot: StandIn) -> upstream.Answer:
    return upstream.fetch("127.0.0.1", bot.port, "/api/health", deadline=QUICK)


def test_an_answer_comes_with_its_status_and_headers(stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(
        DOCUMENT, "503 Service Unavailable", "X-Reason: joining\r\nX-Release: 1.0.0-abc\r\n"
    )
    answer = fetch(stand_in)
    assert (answer.status, answer.reason, answer.release) == (503, "joining", "1.0.0-abc")
    assert answer.seconds < QUICK


def test_headers_are_stripped_of_what_could_break_a_header(stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(DOCUMENT, headers="X-Reason: caf\xe9\x01" + "x" * 500 + "\r\n")
    reason = fetch(stand_in).reason
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) <= 200


@pytest.mark.parametrize("what", ["hangs", "body", "headers", "status"])
def test_slowness_ends_at_the_deadline_whatever_is_slow(stand_in: StandIn, what: str) -> None:
    scripts = {
        "hangs": stand_in.hangs(),
        "body": stand_in.drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999),
        "headers": stand_in.drips(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 900),
        "status": stand_in.drips(b"HTTP/1.1 200 " + b"O" * 5000),
    }
    stand_in.script = scripts[what]
    started = time.monotonic()
    with pytest.raises(BotUnreachable, match="did not answer"):
        fetch(stand_in)
    assert time.monotonic() - started < QUICK + SLACK


def test_a_closed_port_is_told_without_its_address(stand_in: StandIn) -> None:
    stand_in.stop()
    with pytest.raises(BotUnreachable) as refusal:
        fetch(stand_in)
    assert "127.0.0.1" not in str(refusal.value)
    assert str(stand_in.port) not in str(refusal.value)


def test_a_huge_body_is_cut_off_and_refused(stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(b"x" * (upstream.BODY_LIMIT + 1))
    with pytest.raises(InvalidHealthResponse, match="longer"):
        fetch(stand_in)


def test_an_endless_chunked_body_is_refused(stand_in: StandIn) -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n"
    stand_in.script = lambda connection: connection.sendall(endless + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 50)
    with pytest.raises(InvalidHealthResponse, match="longer"):
        fetch(stand_in)


def test_a_redirect_is_not_followed(stand_in: StandIn) -> None:
    target = StandIn()
    stand_in.script = stand_in.says(b"", "302 Found", f"Location: http://127.0.0.1:{target.port}/\r\n")
    with pytest.raises(InvalidHealthResponse, match="302"):
        fetch(stand_in)
    assert target.calls == []
    target.stop()


def test_what_is_no_http_is_refused(stand_in: StandIn) -> None:
    stand_in.script = lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(InvalidHealthResponse, match="HTTP"):
        fetch(stand_in)


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    started = time.monotonic()
    with pytest.raises(BotUnreachable):
        upstream.fetch("bot.invalid", 80, "/", deadline=QUICK)
    assert time.monotonic() - started < QUICK + SLACK
