"""Nobody signed in: floods, slow requests and large bodies on a real web process. It answers throughout."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from portal import gunicorn_worker, incoming_requests
from portal.incoming_requests import State, judge
from portal.request_limits import SIGN_INS
from tests.portal.attacking import Web, run_there, web

Attack = Callable[[threading.Event], None]
ANSWER_TIMEOUT = 2.5
"""Seconds in which everything else answers while an attack lasts; without bounds it does not for as long as that."""
LASTS = 3.0
"""Seconds of an attack in which the others ask; it goes on for as long as one of them waits for an answer."""
MAKE = """
from django.contrib.auth.models import Group, User
from deployments.models import Environment, Scope, Server
from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
user = User.objects.create_user("anna", password="a good long password")
user.groups.add(*Group.objects.all())
server = Server.objects.create(name="prod-1", environment=Environment.objects.get(name="production"), host="127.0.0.1",
    roles=["bot"], host_key="ssh-ed25519 AAAA", fingerprint="SHA256:x", state="provisioned")
made = user_actor(user)
_, beat = issue_token(actor=made, name="beat", scopes=[Scope.HEARTBEAT], server=server)
_, mine = issue_token(actor=made, name="mine", scopes=[Scope.READ, Scope.DEPLOY], owner=user)
_, builder = issue_token(actor=made, name="builder", scopes=[Scope.RELEASE], owner=user)
print(*(str.__str__(text) for text in (beat, mine, builder)))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Web]:
    with web(tmp_path_factory.mktemp("attacked"), migrated) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(running: Web) -> list[str]:
    return run_there(running, MAKE).split()


def beat() -> bytes:
    health = {
        "status": "connected",
        "connected": True,
        "channel": "rosey",
        "uptime": 12.5,
        "version": "1.0.0",
        "user_count": 3,
        "requests": 5,
        "errors": 1,
    }
    return json.dumps({"health": health, "sent_at": "2026-01-01T00:00:00Z"}).encode()


def serves(running: Web, tokens: list[str]) -> dict[str, tuple[int, float]]:
    """What must answer whatever others do: health, a heartbeat, and an approval, here of what does not exist."""
    sent = {"Content_Type": "application/json"}
    decision = json.dumps({"decision": "approved"}).encode()
    return {
        "health": running.ask("/healthz"),
        "heartbeat": running.ask(
            "/api/v1/heartbeats", method="POST", data=beat(), Authorization=f"Bearer {tokens[0]}", **sent
        ),
        "approval": running.ask(
            "/api/v1/deployments/1/approvals", method="POST", data=decision, Authorization=f"Bearer {tokens[1]}", **sent
        ),
    }


def answers_throughout(
    running: Web, tokens: list[str], attack: Attack, lasts: float = LASTS, enough: Callable[[], bool] = lambda: True
) -> None:
    """Ask all the time while an attack runs, on a slow machine until it was `enough`."""
    end = time.monotonic() + lasts
    stop = threading.Event()

    def attacking() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                attack(stop)

    before = running.memory()
    attackers = [threading.Thread(target=attacking, daemon=True) for _ in range(4)]
    for one in attackers:
        one.start()
    try:
        time.sleep(1)  # the attack is under way
        while time.monotonic() < end or (not enough() and time.monotonic() < end + 60):
            for what, (status, took) in serves(running, tokens).items():
                expected = {"health": {200}, "heartbeat": {204, 429}, "approval": {404, 403, 429}}[what]
                assert status in expected, (what, status)
                assert took < ANSWER_TIMEOUT, (what, took)
            assert running.spooled() < 8 << 20
            time.sleep(0.2)
    finally:
        stop.set()
        for one in attackers:
            one.join(15)
    assert running.memory() - before < 150 << 20


def dripping(running: Web, first: bytes, drops: bytes, count: int) -> Attack:
    """Open connections that say `first` and then a byte now and then."""

    def attack(stop: threading.Event) -> None:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(running.connect()) for _ in range(count)]
            for one in held:
                one.sendall(first)
            for drop in range(20):
                if stop.wait(0.25):
                    return
                for one in held:
                    with contextlib.suppress(OSError):
                        one.send(drops[drop : drop + 1])

    return attack


FORM = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.mark.parametrize(
    ("first", "drops"),
    [
        pytest.param(b"", b"GET / HTTP/1.1\r\n" * 2, id="a head, byte by byte"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ", b"a" * 20, id="a head without an end"),
        pytest.param(FORM + b"Content-Length: 1000\r\n\r\n", b"a" * 20, id="a small body"),
        pytest.param(FORM + b"Content-Length: 2000000\r\n\r\n", b"a" * 20, id="a large body"),
        pytest.param(
            FORM.replace(b"POST /", b"POST /api/v1/releases")
            + b"Authorization: Bearer cyop_x\r\nContent-Length: 2000000000\r\n\r\n",
            b"a" * 20,
            id="an upload with a token that is none",
        ),
        pytest.param(
            FORM + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", b"a" * 20, id="a body to be asked for"
        ),
        pytest.param(FORM + b"Transfer-Encoding: chunked\r\n\r\n", b"f\r\naaaaaaaaaaaaaaa", id="chunks"),
    ],
)
def test_slow_requests_hold_nobody_up(running: Web, tokens: list[str], first: bytes, drops: bytes) -> None:
    answers_throughout(running, tokens, dripping(running, first, drops, 20))


def test_connections_that_say_nothing_hold_nobody_up(running: Web, tokens: list[str]) -> None:
    answers_throughout(running, tokens, dripping(running, b"", b"", 150))


def test_a_reader_that_takes_nothing_holds_nobody_up(running: Web, tokens: list[str]) -> None:
    style = next((running.state / "static").rglob("*.css"))
    largest = max((running.state / "static").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    assert style.exists()
    path = largest.relative_to(running.state / "static")
    ask = f"GET /static/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answers_throughout(running, tokens, dripping(running, ask, b"", 30))


def test_large_bodies_fill_neither_disk_nor_memory(running: Web, tokens: list[str]) -> None:
    boundary = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    piece = b"\x00" * (1 << 20)

    def attack(stop: threading.Event) -> None:
        for path in (b"/", b"/admin/login/", b"/nowhere", b"/api/v1/releases", b"/api/v1/heartbeats"):
            with running.connect() as one:
                head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=" + b"a" * 32
                head += b"\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 400000000\r\n\r\n"
                with contextlib.suppress(OSError):
                    one.sendall(head + boundary)
                    for _ in range(400):
                        one.sendall(piece)

    answers_throughout(running, tokens, attack)


@pytest.mark.parametrize("token", ["cyop_nobodys", "heartbeat"])
def test_whoever_may_not_upload_spools_nothing(running: Web, tokens: list[str], token: str) -> None:
    text = tokens[0] if token == "heartbeat" else token
    with running.connect() as one:
        head = f"POST /api/v1/releases HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {text}\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 400000000\r\n\r\n"
        with contextlib.suppress(OSError):
            one.sendall(head.encode() + b'--x\r\nContent-Disposition: form-data; name="artifact"; filename="f"\r\n\r\n')
            for _ in range(64):
                one.sendall(b"\x00" * (1 << 20))
                assert running.spooled() < 8 << 20
        one.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(100).split()[1] in (b"401", b"403", b"429")


def test_a_flood_of_sign_ins_is_held_off(running: Web, tokens: list[str]) -> None:
    opening = running.connect()
    opening.sendall(b"GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    page = b""
    while piece := opening.recv(65536):
        page += piece
    opening.close()
    cookie = page.split(b"csrftoken=")[1].split(b";")[0]
    form = page.split(b'name="csrfmiddlewaretoken" value="')[1].split(b'"')[0]
    tried: list[int] = []

    def attack(stop: threading.Event) -> None:
        number = len(tried)
        body = b"csrfmiddlewaretoken=" + form + b"&username=guess%d&password=x" % number
        address = f"2001:db8::{number % 60000:x}"
        tried.append(
            running.ask(
                "/admin/login/",
                method="POST",
                data=body,
                Cookie=f"csrftoken={cookie.decode()}",
                X_Forwarded_For=address,
                Referer=f"http://127.0.0.1:{running.port}/",
            )[0]
        )

    answers_throughout(running, tokens, attack, lasts=5, enough=lambda: 429 in tried)
    assert tried.count(200) <= 2 * SIGN_INS, "one /64 guesses without limit"
    assert 429 in tried
    rows = "from axes.models import AccessAttempt as A; from deployments.models import AuditEvent as E\n"
    rows += "print(A.objects.count(), E.objects.filter(name__startswith='person.').count())"
    attempts, events = map(int, run_there(running, rows).split())
    assert attempts <= 2 * SIGN_INS  # the minute may have changed once
    assert events <= 40


class Connection:
    """As gunicorn has one, before its first request was parsed."""

    parser = None

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


def test_what_arrives_while_it_is_looked_at_is_not_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(gunicorn_worker.BoundedWorker.__base__, "enqueue_req", lambda _worker, conn: given.append(conn))
    monkeypatch.setattr(
        gunicorn_worker.BoundedWorker.__base__, "wait_for_and_dispatch_events", lambda _worker, _timeout: None
    )
    worker = gunicorn_worker.BoundedWorker.__new__(gunicorn_worker.BoundedWorker)
    worker.__dict__.update(_arriving={}, _deadlines={}, _large=set(), _queued=set())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
        rest = [b"abcde"]

        def look(*arguments: Any) -> Any:
            found = incoming_requests.look(*arguments)
            if rest:
                theirs.sendall(rest.pop())
            return found

        monkeypatch.setattr(gunicorn_worker, "look", look)
        conn = Connection(ours)
        worker.enqueue_req(conn)
        assert given == []
        worker.wait_for_and_dispatch_events(0)
        assert given == [conn]


def test_what_arrives_piece_by_piece_is_answered(running: Web) -> None:
    with running.connect() as one:
        for piece in (b"GET /heal", b"thz HTTP/1.1\r\nHo", b"st: 127.0.0.1\r\n", b"\r\n"):
            one.sendall(piece)
            time.sleep(0.15)
        assert one.recv(100).startswith(b"HTTP/1.1 200")
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HTTP/1.1\r\n")
        time.sleep(0.1)
        one.sendall(b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n")
        said = b""
        with contextlib.suppress(socket.timeout):
            while piece := one.recv(65536):
                said += piece
        assert said.count(b"HTTP/1.1 200") >= 2


def test_a_body_of_a_megabyte_is_read(running: Web, tokens: list[str]) -> None:
    body = beat()[:-1] + b', "more": "' + b"x" * (1 << 20) + b'"}'
    status, _ = running.ask(
        "/api/v1/heartbeats",
        method="POST",
        data=body,
        Content_Type="application/json",
        Authorization=f"Bearer {tokens[0]}",
    )
    assert status in (204, 429)


@pytest.mark.parametrize(
    "odd",
    [
        b"Content-Length: 5\r\nContent-Length: 400000000",
        b"Content-Length: 400000000\r\nContent-Length: 5",
        b"Content-Length: +400000000",
        b"Content-Length: 99999999999999999999999999",
        b"Content-Length : 400000000",
        b"Content-Length:\r\n 400000000",
        b"Transfer-Encoding : chunked",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"X: a\rContent-Length: 400000000",
        b"Content-Length: 4e8",
        b"Content_Length: 400000000",
    ],
)
def test_a_length_that_can_be_read_in_two_ways_holds_no_thread(running: Web, odd: bytes) -> None:
    with running.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + odd + b"\r\n\r\nabcde")
        one.settimeout(ANSWER_TIMEOUT)
        said = one.recv(100)
        assert said.split()[1][:1] == b"4", said


def test_who_may_add_releases_uploads_much(running: Web, tokens: list[str]) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="sha256"\r\n\r\n' + b"0" * 64 + b"\r\n"
    body += b'--x\r\nContent-Disposition: form-data; name="artifact"; filename="a.tar"\r\n\r\n'
    body += b"\x00" * (12 << 20) + b"\r\n--x--\r\n"
    sent = {"Authorization": f"Bearer {tokens[2]}", "Content_Type": "multipart/form-data; boundary=x"}
    status, _ = running.ask("/api/v1/releases", method="POST", data=body, **sent)
    assert status == 422, "it was read to its end, and is no artifact"
    deadline = time.monotonic() + 60
    while running.spooled():  # it is deleted after the answer
        assert time.monotonic() < deadline, "the upload stays"
        time.sleep(0.05)


def test_the_openapi_document_costs_little(running: Web) -> None:
    running.ask("/api/v1/openapi.json")
    running.ask("/api/v1/openapi.json")
    began = time.monotonic()
    for _ in range(20):
        assert running.ask("/api/v1/openapi.json")[0] == 200
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"GET / HTTP/1.1\r\n", State.ARRIVING),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", State.WHOLE),
        (b"POST / HTTP/1.1\r\ncontent-LENGTH:5\r\n\r\nabc", State.ARRIVING),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", State.WHOLE),
        (b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n", State.LARGE),
        (b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n", State.TOO_LARGE),
        (b"POST /api/v1/releases HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n", State.TOO_LARGE),
        (
            b"POST /api/v1/releases HTTP/1.1\r\nAuthorization: Bearer cyop_x\r\nContent-Length: 3000000\r\n\r\n",
            State.LARGE,
        ),
        (
            b"POST /api/v1/releases/x HTTP/1.1\r\nAuthorization: Bearer cyop_x\r\nContent-Length: 3000000\r\n\r\n",
            State.TOO_LARGE,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", State.NO_LENGTH),
        (b"x" * (32 << 10), State.HEAD_TOO_LARGE),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", State.LARGE),
    ],
)
def test_how_far_a_request_has_come(data: bytes, state: State) -> None:
    assert judge(data).state is state
