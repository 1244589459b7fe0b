"""Requesting, following, deciding and cancelling by program."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from deployments.http import idempotency
from deployments.lifecycle import Status
from deployments.models import Approval, Deployment, Environment, IdempotencyKey, LogLine, Release, Scope, Server
from deployments.requests.requests import request_deployment
from deployments.requests.snapshots import take_snapshot
from tests.deployments.api.conftest import Caller
from tests.fixtures.records import record_success

Callers = Callable[..., Caller]


def problem(answer: Any, status: int, reason: str) -> dict[str, Any]:
    """The problem document, which has to be one."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["reason"] == reason
    assert body["detail"]
    return body


def wanted(environment: str = "test", release: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"environment": environment, "release": release} | more


def test_a_request_for_test_is_queued(olga: Caller, test_server: Server, example: Release) -> None:
    answer = olga.post("/deployments", wanted(reason="Answers politely"))
    assert answer.status_code == 201
    body = answer.json()
    assert (body["status"], body["ended"], body["exit_code"]) == ("queued", False, None)
    assert body["release"] == example.identifier
    assert body["requested_by"].startswith("olga/token:")
    assert Deployment.objects.get(pk=body["number"]).reason == "Answers politely"


def test_a_request_for_production_waits_and_another_person_approves(
    olga: Caller, anna: Caller, production_server: Server, example: Release
) -> None:
    number = olga.post("/deployments", wanted("production")).json()["number"]
    waiting = olga.get(f"/deployments/{number}").json()
    assert (waiting["status"], waiting["exit_code"], waiting["approvals_needed"]) == ("awaiting_approval", 3, 1)
    answer = anna.post(f"/deployments/{number}/approvals", {"decision": "approved", "comment": "Plan read"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "queued"
    assert answer.json()["approvals"][0]["actor"] == "anna"


def test_whoever_asked_does_not_approve_not_even_with_another_token(
    caller: Callers, production_server: Server, example: Release
) -> None:
    both = caller("bert", "operator", "approver")
    number = both.post("/deployments", wanted("production")).json()["number"]
    again = caller("bert", scopes=[Scope.APPROVE])
    for token in (both, again):
        problem(token.post(f"/deployments/{number}/approvals", {"decision": "approved"}), 403, "four_eyes")
    assert not Approval.objects.exists()


def test_a_rejection_ends_it_with_its_reason(
    olga: Caller, anna: Caller, production_server: Server, example: Release
) -> None:
    number = olga.post("/deployments", wanted("production")).json()["number"]
    problem(anna.post(f"/deployments/{number}/approvals", {"decision": "rejected"}), 422, "no_reason")
    body = anna.post(f"/deployments/{number}/approvals", {"decision": "rejected", "comment": "Too late"}).json()
    assert (body["status"], body["exit_code"]) == ("rejected", 4)
    assert "Too late" in body["sentence"]
    problem(anna.post(f"/deployments/{number}/approvals", {"decision": "approved"}), 409, "not_waiting")


def test_a_busy_environment_is_409(olga: Caller, test_server: Server, example: Release) -> None:
    first = olga.post("/deployments", wanted()).json()["number"]
    assert str(first) in problem(olga.post("/deployments", wanted()), 409, "environment_busy")["detail"]


def test_cancelling(olga: Caller, test_server: Server, example: Release) -> None:
    number = olga.post("/deployments", wanted()).json()["number"]
    body = olga.post(f"/deployments/{number}/cancel").json()
    assert (body["status"], body["exit_code"]) == ("cancelled", 6)
    problem(olga.post(f"/deployments/{number}/cancel"), 409, "ended")


def test_a_rollback_needs_something_to_go_back_to(olga: Caller, test_server: Server, example: Release) -> None:
    body = {"environment": "test", "reason": "Errors"}
    problem(olga.post("/rollbacks", body), 422, "no_rollback_target")
    problem(olga.post("/rollbacks", body | {"to": example.identifier}), 422, "no_way_back")
    home = test_server.environment
    sealed = take_snapshot(environment=home, release=example)
    record_success(home, example, sealed, approved_by=())
    answer = olga.post("/rollbacks", body | {"to": example.identifier})
    assert answer.status_code == 201
    assert (answer.json()["kind"], answer.json()["status"]) == ("rollback", "queued")


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/deployments", wanted("nowhere"), 404, "unknown_environment"),
        ("/deployments", wanted(release="9.9.9"), 404, "unknown_release"),
        ("/deployments", wanted("production"), 422, "no_server"),
        ("/deployments", {"release": "1.0.0"}, 422, "invalid"),
        ("/deployments", wanted(reason="x" * 501), 422, "invalid"),
        ("/deployments", wanted(reason="a\x00b"), 422, "invalid"),
        ("/deployments", wanted("../../etc"), 422, "invalid"),
        ("/deployments/999/cancel", None, 404, "unknown_deployment"),
        ("/deployments/0/cancel", None, 422, "invalid"),
        ("/deployments/99999999999999999999/cancel", None, 422, "invalid"),
        ("/deployments/999/approvals", {"decision": "perhaps"}, 422, "invalid"),
        ("/rollbacks", {"environment": "test", "reason": ""}, 422, "invalid"),
    ],
)
def test_what_cannot_be_done_is_a_problem(
    olga: Caller, test_server: Server, example: Release, path: str, body: Any, status: int, reason: str
) -> None:
    problem(olga.post(path, body), status, reason)


def test_a_problem_does_not_repeat_what_was_sent(olga: Caller) -> None:
    answer = olga.post("/deployments", {"environment": {"canary": "hunter2"}, "release": "canary-hunter2" * 40})
    assert b"hunter2" not in answer.content


class TestTokens:
    """Scopes and owners."""

    @pytest.mark.parametrize("text", ["", "cyop_", "cyop_" + "a" * 43, "café", "a" * 5000])
    def test_without_a_valid_token_nothing_is_told(self, olga: Caller, text: str) -> None:
        answer = Caller(text, olga.client).get("/deployments")
        problem(answer, 401, "unauthenticated")
        assert answer["WWW-Authenticate"] == "Bearer"

    def test_a_session_is_no_token(self, olga: Caller) -> None:
        from django.contrib.auth.models import User

        olga.client.force_login(User.objects.get(username="olga"))
        problem(Caller("", olga.client).get("/deployments"), 401, "unauthenticated")

    def test_a_token_does_what_its_scopes_say(self, caller: Callers, test_server: Server, example: Release) -> None:
        reading = caller("olga", "operator", scopes=[Scope.READ])
        assert reading.get("/deployments").status_code == 200
        problem(reading.post("/deployments", wanted()), 403, "not_allowed")
        problem(caller("olga", scopes=[Scope.DEPLOY]).get("/deployments"), 403, "not_allowed")

    def test_a_token_does_no_more_than_its_owner(self, caller: Callers, test_server: Server, example: Release) -> None:
        viewer = caller("vera", "viewer")
        assert viewer.get("/deployments").status_code == 200
        problem(viewer.post("/deployments", wanted()), 403, "not_allowed")

    def test_a_token_of_one_environment_sees_and_changes_that_one(
        self, caller: Callers, olga: Caller, test_server: Server, production_server: Server, example: Release
    ) -> None:
        number = olga.post("/deployments", wanted("production")).json()["number"]
        narrow = caller("olga", environment=Environment.objects.get(name="test"))
        assert narrow.get("/deployments").json()["items"] == []
        assert [row["name"] for row in narrow.get("/environments").json()] == ["test"]
        assert [row["name"] for row in narrow.get("/servers").json()] == [test_server.name]
        for path in (f"/deployments/{number}", f"/deployments/{number}/log", f"/servers/{production_server.name}"):
            problem(narrow.get(path), 403, "not_allowed")
        problem(narrow.post("/deployments", wanted("production")), 403, "not_allowed")
        problem(narrow.post(f"/deployments/{number}/cancel"), 403, "not_allowed")
        problem(narrow.get("/audit"), 403, "not_allowed")
        assert narrow.post("/deployments", wanted("test")).status_code == 201


class TestIdempotency:
    """`Idempotency-Key`."""

    key = {"Idempotency-Key": "5f0c7a52-6f0e"}  # noqa: RUF012  (never changed)

    def test_asking_twice_does_one_thing(self, olga: Caller, test_server: Server, example: Release) -> None:
        first = olga.post("/deployments", wanted(), **self.key)
        second = olga.post("/deployments", wanted(), **self.key)
        assert first.status_code == second.status_code == 201
        assert first.json() == second.json()
        assert Deployment.objects.count() == 1

    def test_it_holds_after_the_deployment_has_ended(self, olga: Caller, test_server: Server, example: Release) -> None:
        number = olga.post("/deployments", wanted(), **self.key).json()["number"]
        olga.post(f"/deployments/{number}/cancel")
        assert olga.post("/deployments", wanted(), **self.key).json()["status"] == "cancelled"

    def test_another_request_with_the_same_key_is_refused(
        self, olga: Caller, test_server: Server, example: Release
    ) -> None:
        olga.post("/deployments", wanted(), **self.key)
        for path, body in (
            ("/deployments", wanted(reason="another")),
            ("/rollbacks", {"environment": "test", "reason": "x", "to": "1.0.0"}),
        ):
            problem(olga.post(path, body, **self.key), 409, "idempotency_key_reused")

    def test_keys_belong_to_their_token(
        self, olga: Caller, caller: Callers, test_server: Server, example: Release
    ) -> None:
        olga.post("/deployments", wanted(), **self.key)
        problem(caller("otto", "operator").post("/deployments", wanted(), **self.key), 409, "environment_busy")

    def test_a_refusal_is_not_remembered(self, olga: Caller, test_server: Server, example: Release) -> None:
        first = olga.post("/deployments", wanted()).json()["number"]
        problem(olga.post("/deployments", wanted(), **self.key), 409, "environment_busy")
        olga.post(f"/deployments/{first}/cancel")
        answer = olga.post("/deployments", wanted(), **self.key)
        assert answer.status_code == 201
        assert answer.json()["number"] != first

    def test_a_process_that_died_after_the_request_is_not_asked_twice(
        self, olga: Caller, test_server: Server, example: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Died(BaseException):
            pass

        def die(*_: object) -> None:
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(idempotency, "_complete", die)
            with pytest.raises(Died):
                olga.post("/deployments", wanted(), **self.key)
        assert Deployment.objects.count() == 1
        assert olga.post("/deployments", wanted(), **self.key).status_code == 201
        assert Deployment.objects.count() == 1

    @pytest.mark.parametrize("error", [OSError, KeyError, KeyboardInterrupt])
    def test_what_broke_after_it_was_done_is_not_done_again(
        self,
        olga: Caller,
        test_server: Server,
        example: Release,
        monkeypatch: pytest.MonkeyPatch,
        error: type[BaseException],
    ) -> None:
        """The deployment is there already: the same key finds it, and no refusal says that another one runs."""

        def broken(**asked: Any) -> Deployment:
            request_deployment(**asked)
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("deployments.api.deployments.request_deployment", broken)
            with pytest.raises(error):
                olga.post("/deployments", wanted(), **self.key)
        answer = olga.post("/deployments", wanted(), **self.key)
        assert (answer.status_code, answer.json()["number"]) == (201, Deployment.objects.get().pk), answer.content

    def test_another_machine_of_the_portal_knows_the_key(
        self, olga: Caller, test_server: Server, example: Release, settings: Any, tmp_path: Path
    ) -> None:
        """One database, another state directory."""
        first = olga.post("/deployments", wanted(), **self.key).json()["number"]
        olga.post(f"/deployments/{first}/cancel")
        settings.STATE_DIR = tmp_path / "another"
        assert olga.post("/deployments", wanted(), **self.key).json()["number"] == first
        assert Deployment.objects.count() == 1

    @pytest.mark.parametrize("key", ["x" * 201, "é", "\x7f"])
    def test_a_key_that_cannot_be_kept_is_refused(
        self, olga: Caller, test_server: Server, example: Release, key: str
    ) -> None:
        problem(olga.post("/deployments", wanted(), **{"Idempotency-Key": key}), 422, "invalid")

    def test_keys_go_after_a_day(self, olga: Caller, test_server: Server, example: Release, own_state: Path) -> None:
        number = olga.post("/deployments", wanted(), **self.key).json()["number"]
        olga.post(f"/deployments/{number}/cancel")
        IdempotencyKey.objects.update(began_at=F("began_at") - idempotency.KEPT - timedelta(minutes=1))
        assert olga.post("/deployments", wanted(), **self.key).json()["number"] != number


@pytest.mark.django_db(transaction=True)
def test_simultaneous_requests_with_one_key_make_one_deployment(
    olga: Caller, test_server: Server, example: Release
) -> None:
    from django.db import connection
    from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteDatabase

    if isinstance(connection, SqliteDatabase) and connection.is_in_memory_db():
        pytest.skip("several connections to one in-memory database are not what is deployed")
    found: list[int] = []

    def ask() -> None:
        found.append(olga.post("/deployments", wanted(), **TestIdempotency.key).json()["number"])
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1


class TestFollowing:
    """Reading a deployment, its log, and waiting for its end."""

    @pytest.fixture
    def number(self, olga: Caller, test_server: Server, example: Release) -> int:
        """A queued deployment."""
        return int(olga.post("/deployments", wanted()).json()["number"])

    def test_waiting_ends_at_its_limit(self, olga: Caller, number: int) -> None:
        started = time.monotonic()
        assert olga.get(f"/deployments/{number}", wait=0.6).json()["status"] == "queued"
        assert time.monotonic() - started >= 0.6

    def test_what_has_ended_is_answered_at_once(self, olga: Caller, number: int) -> None:
        olga.post(f"/deployments/{number}/cancel")
        started = time.monotonic()
        assert olga.get(f"/deployments/{number}", wait=10).json()["ended"] is True
        assert time.monotonic() - started < 5

    def test_too_many_who_wait_are_answered_at_once(
        self, olga: Caller, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deployments.api.deployments._WAITERS", threading.BoundedSemaphore(1))
        from deployments.api.deployments import _WAITERS

        with _WAITERS:
            started = time.monotonic()
            assert olga.get(f"/deployments/{number}", wait=10).status_code == 200
            assert time.monotonic() - started < 5

    @pytest.mark.parametrize("wait", ["-1", "11", "nan", "inf", "x"])
    def test_nonsense_waits_are_refused(self, olga: Caller, number: int, wait: str) -> None:
        problem(olga.get(f"/deployments/{number}", wait=wait), 422, "invalid")

    def test_the_log_is_read_in_pieces(self, olga: Caller, number: int) -> None:
        row = Deployment.objects.get(pk=number)
        target = row.targets.get()
        LogLine.objects.bulk_create(
            LogLine(deployment=row, target=target, step="stage", text=f"line {n}") for n in range(5)
        )
        piece = olga.get(f"/deployments/{number}/log", limit=3).json()
        assert [line["text"] for line in piece["lines"]] == ["line 0", "line 1", "line 2"]
        assert piece["lines"][0]["server"] == target.server.name
        assert piece["complete"] is False
        Deployment.objects.filter(pk=number).update(status=Status.FAILED, finished_at=timezone.now())
        rest = olga.get(f"/deployments/{number}/log", after=piece["lines"][-1]["number"]).json()
        assert [line["text"] for line in rest["lines"]] == ["line 3", "line 4"]
        assert rest["complete"] is True

    def test_the_list_is_filtered_and_paged(self, olga: Caller, number: int, example: Release) -> None:
        row = Deployment.objects.get(pk=number)
        for _ in range(4):
            row.pk = None
            row.status, row.finished_at = Status.FAILED, timezone.now()
            row.save()
        first = olga.get("/deployments", limit=3).json()
        second = olga.get("/deployments", limit=3, before=first["next_before"]).json()
        numbers = [item["number"] for item in first["items"] + second["items"]]
        assert len(numbers) == 5
        assert numbers == sorted(numbers, reverse=True)
        assert second["next_before"] is None
        assert [item["number"] for item in olga.get("/deployments", status="queued").json()["items"]] == [number]
        assert olga.get("/deployments", environment="production").json()["items"] == []
        problem(olga.get("/deployments", status="nonsense"), 422, "invalid")


class TestLimits:
    """So many requests a minute."""

    def test_a_token_that_asks_too_often_is_told_when_to_go_on(
        self, olga: Caller, anna: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deployments.http.limits.READS.allowed", 5)
        monkeypatch.setattr("deployments.http.limits.time.time", lambda: 1_800_000_000.0)
        for _ in range(5):
            assert olga.get("/servers").status_code == 200
        answer = olga.get("/servers")
        problem(answer, 429, "too_many_requests")
        assert 1 <= int(answer["Retry-After"]) <= 61
        assert anna.get("/servers").status_code == 200
        monkeypatch.setattr("deployments.http.limits.time.time", lambda: 1_800_000_060.0)
        assert olga.get("/servers").status_code == 200

    def test_guessing_tokens_is_slow_and_holds_nobody_up(self, olga: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deployments.http.limits.STRANGERS", 3)
        monkeypatch.setattr("deployments.http.limits.time.time", lambda: 1_800_000_000.0)
        stranger = Caller("cyop_guess", olga.client)
        for _ in range(3):
            problem(stranger.get("/servers"), 401, "unauthenticated")
        problem(stranger.get("/servers"), 429, "too_many_requests")
        assert olga.get("/servers").status_code == 200


class TestReading:
    """Environments, servers, audit."""

    def test_servers_never_tell_their_address_or_keys(self, olga: Caller, test_server: Server) -> None:
        for path in ("/servers", f"/servers/{test_server.name}"):
            content = olga.get(path).content.decode()
            assert test_server.name in content
            assert test_server.host not in content
            assert test_server.host_key not in content

    def test_environments_tell_what_runs_and_what_goes_on(
        self, olga: Caller, test_server: Server, example: Release
    ) -> None:
        number = olga.post("/deployments", wanted()).json()["number"]
        found = {row["name"]: row for row in olga.get("/environments").json()}
        assert found["test"]["active_deployment"] == number
        assert found["production"]["approvals_required"] == 1
        assert "private_key" not in json.dumps(found)

    def test_the_audit_trail_is_read_with_its_head(self, olga: Caller, test_server: Server, example: Release) -> None:
        number = olga.post("/deployments", wanted()).json()["number"]
        found = olga.get("/audit", name="deployment.requested").json()
        assert [event["subject"] for event in found["items"]] == [f"deployment:{number}"]
        newest = olga.get("/audit", limit=1).json()
        assert newest["head"] == f"{newest['items'][0]['sequence']}:{newest['items'][0]['hash']}"
        assert newest["next_before"] == newest["items"][0]["sequence"]
