"""Every exit code, provoked on a real server."""

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
from deployments.lifecycle import EXIT_CODES, Status
from deployments.management.waiting import INTERRUPTED_BY_KEYBOARD, STILL_GOING
from deployments.models import Deployment, Environment, Scope
from tests.deployments.management.commands import exit_code
from tests.fixtures.fleet import TREE, Fleet
from tests.stories.running import GO, HOLD, go_on, rehearse

pytestmark = pytest.mark.hosts

DOCUMENTED = (Path(__file__).resolve().parents[3] / "docs/command-line.md").read_text()


def wrong_version(tree: Path) -> None:
    """A release that never says its own version."""
    program = tree / "dicebot/__main__.py"
    program.write_text(program.read_text().replace('"version": VERSION', '"version": "0.0.0"'))
    file = tree / "deploy.toml"
    file.write_text(file.read_text().replace('connected = "ready"', 'connected = "ready"\ntimeout = 1'))


Act = Callable[[str], None]


@pytest.fixture
def act(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Act:
    """`act("olga")`: from here on commands act as the operator, `act("anna")` as the approver."""
    tokens = {}
    for name, role in (("olga", "operator"), ("anna", "approver")):
        user = User.objects.create_user(name)
        user.groups.set(Group.objects.filter(name=role))
        scopes = [Scope.DEPLOY] if role == "operator" else [Scope.APPROVE]
        _, tokens[name] = issue_token(actor=user_actor(user), name="tests", scopes=scopes, owner=user)
    return lambda name: monkeypatch.setenv("PORTAL_TOKEN", tokens[name])


def beside(work: Callable[[], object]) -> threading.Thread:
    """Run something in a thread with a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def held() -> Deployment:
    """The deployment that a rehearsal holds, once it does."""
    end = time.monotonic() + 60
    while (found := Deployment.objects.filter(log_lines__text="held").first()) is None:
        assert time.monotonic() < end, "nothing was held within a minute"
        time.sleep(0.1)
    return found


def test_0_done(fleet: Fleet) -> None:
    fleet.enrol()
    release = fleet.release("1.0.0")
    out = io.StringIO()
    assert exit_code("deploy", "test", "--inline", "--json", out=out) == 0
    document = json.loads(out.getvalue())
    assert (document["exit_code"], document["status"]) == (0, "succeeded")
    assert list(document["targets"][0]["steps"])[:3] == ["preflight", "stage", "dependencies"]
    assert fleet.current() == release.identifier


def test_1_a_server_said_no(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.release("1.0.0")
    machine, out = fleet.machines[0], io.StringIO()
    machine.root(["chmod", "o+w", f"{TREE}/envs"])
    try:
        assert exit_code("deploy", "test", "--inline", out=out) == 1
    finally:
        machine.root(["chmod", "o-w", f"{TREE}/envs"])
    assert "run provision" in out.getvalue().lower()
    assert fleet.current() == ""


def test_2_usage(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.release("1.0.0")
    assert exit_code("deploy", "nowhere") == 2
    assert exit_code("deploy", "test", "--release", "9.9.9") == 2
    assert exit_code("deploy", "test", "--inline", "--no-wait") == 2
    assert exit_code("deploy", "test", "--inline", "--timeout", "5") == 2
    assert not Deployment.objects.exists()


def test_3_waiting_for_approval_and_4_rejected_superseded_or_outdated(fleet: Fleet, act: Act) -> None:
    fleet.enrol(environment="production")
    fleet.release("1.0.0")
    act("olga")
    out = io.StringIO()
    assert exit_code("deploy", "production", "--inline", out=out) == 3
    assert "waits for approval by somebody other than olga" in out.getvalue()
    assert exit_code("deploy", "production") == 3
    older, newer = Deployment.objects.order_by("pk")
    act("anna")
    assert older.status == Status.SUPERSEDED
    assert exit_code("approve", str(older.pk)) == 4
    Environment.objects.filter(name="production").update(configuration={"dice.json": {"sides": 8}})
    err = io.StringIO()
    assert exit_code("approve", str(newer.pk), err=err) == 4
    newer.refresh_from_db()
    assert newer.outcome == "seal_broken"
    assert fleet.current() == ""


def test_5_failed_and_rolled_back(fleet: Fleet) -> None:
    fleet.enrol()
    good = fleet.release("1.0.0")
    fleet.deploy(good)
    fleet.release("1.1.0", wrong_version)
    assert exit_code("deploy", "test", "--inline") == 5
    assert fleet.current() == good.identifier


def test_6_cancelled(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.release("1.0.0")
    rehearse(fleet.machines[0], "restart", HOLD)
    codes: list[int] = []
    thread = beside(lambda: codes.append(exit_code("deploy", "test", "--inline")))
    deployment = held()
    assert exit_code("cancel", str(deployment.pk)) == 0
    thread.join(60)
    assert codes == [6]
    assert fleet.current() == ""


def test_7_interrupted_needs_a_person(fleet: Fleet) -> None:
    fleet.enrol()
    good = fleet.release("1.0.0")
    fleet.deploy(good)
    fleet.release("1.1.0", wrong_version)
    rehearse(fleet.machines[0], "restart", GO)
    codes: list[int] = []
    out = io.StringIO()
    thread = beside(lambda: codes.append(exit_code("deploy", "test", "--inline", out=out)))
    held()
    program = f"{TREE}/releases/{good.identifier}/dicebot/__main__.py"
    fleet.machines[0].root(["sh", "-c", f"rm {program} && echo 'raise SystemExit(1)' > {program}"])
    go_on(fleet.machines[0])
    thread.join(120)
    assert codes == [7], out.getvalue()
    assert "Look at dice-1" in out.getvalue()


def test_8_environment_busy(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.request(fleet.release("1.0.0"))
    err = io.StringIO()
    assert exit_code("deploy", "test", "--inline", err=err) == 8
    assert fleet.current() == ""


def test_124_the_waiting_ended_and_the_deployment_did_not(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.release("1.0.0")
    err = io.StringIO()
    assert exit_code("deploy", "test", "--timeout", "0.3", err=err) == STILL_GOING
    deployment = Deployment.objects.get()
    assert deployment.status == Status.QUEUED
    assert f"manage.py cancel {deployment.pk}" in err.getvalue()


@pytest.mark.parametrize("code", sorted({2, 8, STILL_GOING, INTERRUPTED_BY_KEYBOARD, *EXIT_CODES.values()}))
def test_every_exit_code_is_documented(code: int) -> None:
    assert f"| {code} | " in DOCUMENTED
