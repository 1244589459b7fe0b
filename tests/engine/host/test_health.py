"""What a role answers at its health URL, asked over a real socket; and what a run makes of the answers."""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.fake_machine import Machine
from engine.host.agent.health import Expectation, probe
from engine.host.agent.limits import Record
from engine.host.agent.sockets import listener
from engine.host.agent.tree import Tree
from tests.engine.host.runs import NEW, OLD, plan, put_live, role, run


class Service:
    """Answers every connection with what lies in a file, so that a test, or a step of a run, may change it."""

    def __init__(self, answer: Path) -> None:
        self._answer, self._socket = answer, socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def says(self, status: int = 200, release: str = "", why: str = "", **body: Any) -> None:
        """From now on this."""
        head = f"HTTP/1.0 {status} So\r\n" + (f"X-Release: {release}\r\n" if release else "")
        self._answer.write_text(f"{head}X-Reason: {why}\r\n\r\n{json.dumps(body)}")

    def says_text(self, text: str) -> None:
        """From now on this, whatever it is."""
        self._answer.write_text(text)

    def stop(self) -> None:
        """Nobody answers any more."""
        with contextlib.suppress(OSError):  # stopped already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            with line:
                line.recv(4096)
                line.sendall(self._answer.read_bytes())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "answer")
    service.says(connected=True, version="2.0")
    yield service
    service.stop()


def health(service: Service, **changes: Any) -> Record:
    usual = {"url": f"http://127.0.0.1:{service.port}/health", "timeout": 2.0, "samples": 2, "interval": 0.01}
    return {**usual, "connected_field": "connected", "version_field": "version", **changes}


def test_an_answer_is_read_whole(service: Service) -> None:
    service.says(release=NEW, why="fine", connected=True, version="2.0", more="x" * 200_000)
    assert probe(health(service)) == {
        "answered": True,
        "status": 200,
        "version": "2.0",
        "release": NEW,
        "connected": True,
        "why": "fine",
    }


def test_a_field_may_lie_inside_another_and_what_was_not_asked_for_is_not_said(service: Service) -> None:
    service.says(state={"cytube": {"up": True}})
    assert probe(health(service, connected_field="state.cytube.up", version_field=""))["connected"] is True
    assert probe(health(service, connected_field="state.other.up"))["connected"] is False
    assert probe(health(service, connected_field="", version_field=""))["connected"] is None


@pytest.mark.parametrize(
    "text",
    ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.0 OK\r\n\r\n{}", "HTTP/1.0 200 So\r\n\r\n<html>", "HTTP/1.0\r\n\r\n1"],
)
def test_what_is_no_json_over_http_is_no_answer(service: Service, text: str) -> None:
    service.says_text(text)
    seen = probe(health(service))
    assert (seen["answered"], "no JSON over HTTP" in seen["error"]) == (False, True), seen


def test_where_nobody_listens_that_is_said(service: Service) -> None:
    service.stop()
    assert probe(health(service)) == {"answered": False, "error": "Connection refused"}
    assert listener(service.port) is None


def test_who_never_answers_is_waited_for_as_long_as_was_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        seen = probe({"url": url, "connected_field": "", "version_field": ""}, timeout=0.05)
    assert seen["answered"] is False


def test_the_kernel_says_whose_a_port_is(service: Service) -> None:
    found = listener(service.port)
    assert found is not None
    assert found[0] == os.getuid()


SEEN = {"answered": True, "status": 200, "version": "2.0", "release": NEW, "connected": True, "why": ""}


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        ({}, None),
        (
            {"answered": False, "error": "refused"},
            ("no_answer", "The bot does not answer at http://127.0.0.1:1/ (refused)."),
        ),
        ({"version": "1.0"}, ("wrong_version", "The bot says it runs version 1.0, not 2.0.")),
        ({"version": None}, ("wrong_version", "The bot says it runs version None, not 2.0.")),
        ({"release": OLD}, ("wrong_release", f"The bot says it runs release {OLD}, not {NEW}.")),
        ({"release": None}, None),
        ({"connected": False}, ("not_connected", "The bot runs but is not connected.")),
        ({"connected": False, "why": "kicked"}, ("not_connected", "The bot runs but is not connected (kicked).")),
        ({"connected": None}, None),
        ({"status": 503}, ("unhealthy", "The bot answers with HTTP status 503.")),
    ],
)
def test_what_is_held_against_an_answer(seen: Record, problem: tuple[str, str] | None) -> None:
    one = role(health={"url": "http://127.0.0.1:1/", "version_field": "version"})
    assert Expectation(one, "2.0", NEW, connected=True).problem({**SEEN, **seen}) == problem


@pytest.mark.parametrize(("connected", "tolerated"), [(False, True), (True, False)])
def test_only_a_bot_that_need_not_connect_may_go_on_without(connected: bool, tolerated: bool) -> None:
    expectation = Expectation(role(), None, None, connected)
    assert expectation.tolerates("not_connected") is tolerated
    assert not expectation.tolerates("no_answer")


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is the unit's: a process of the tests answers for it, which no systemd has started."""
    for module in ("steps.preflight", "verification"):
        monkeypatch.setattr(f"engine.host.agent.{module}.owns_port", lambda port, shown, units: True)


@pytest.mark.usefixtures("ours")
def test_a_run_waits_for_samples_and_says_what_it_saw(tree: Tree, machine: Machine, service: Service) -> None:
    put_live(tree)
    service.says(release=NEW, connected=True, version="2.0")
    result = run(tree, plan(tree, roles=[role(health=health(service))]))
    assert result["status"] == "succeeded", result
    proof = result["facts"]["proof"]
    assert proof["samples"] == 2
    assert (proof["roles"]["bot"]["connected"], proof["roles"]["bot"]["version"]) == (True, "2.0")


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"version": "1.9", "connected": True}, "wrong_version"),
        ({"version": "2.0", "connected": False, "why": "kicked"}, "not_connected"),
        ({"version": "2.0", "connected": True, "status": 500}, "unhealthy"),
        ({"version": "2.0", "connected": True, "release": "3.0-c"}, "wrong_release"),
    ],
)
def test_a_release_that_answers_wrongly_is_put_back(
    tree: Tree, machine: Machine, service: Service, answer: Record, reason: str
) -> None:
    put_live(tree)
    service.says(**answer)
    result = run(tree, plan(tree, require_connected="yes", roles=[role(health=health(service, timeout=0.3))]))
    assert result["reason"] == reason, result
    assert tree.current_release() == OLD


@pytest.mark.usefixtures("ours")
def test_a_unit_that_falls_while_it_is_asked_is_told_at_once(tree: Tree, machine: Machine, service: Service) -> None:
    put_live(tree)
    service.says_text("not yet")
    machine.next_starts("bot.service", "failed", "active")
    result = run(tree, plan(tree, roles=[role(health=health(service, timeout=60.0))]))
    assert result["reason"] == "unit_failed", result
    assert tree.current_release() == OLD


def test_a_port_that_somebody_else_has_is_told_before_anything_changes(
    tree: Tree, machine: Machine, service: Service
) -> None:
    put_live(tree)
    result = run(tree, plan(tree, roles=[role(health=health(service))]))
    assert (result["status"], result["reason"]) == ("failed", "port_taken"), result
    assert machine.asked == []
