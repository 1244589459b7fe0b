"""What monitoring reads from the portal."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from deployments.audit.trail import record_alone
from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import ClusterBeat, Environment, Scope, Server
from tests.dashboard import records

Enrol = Callable[..., Server]
Read = Callable[[], dict[tuple[str, ...], float]]


@pytest.fixture
def scraped(anyone: Client, token_for: Callable[..., str]) -> Read:
    """Every sample of /metrics by its name and label values."""
    headers = {"authorization": f"Bearer {token_for(Scope.METRICS)}"}

    def read() -> dict[tuple[str, ...], float]:
        answer = anyone.get("/metrics", headers=headers)
        assert answer.status_code == 200
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    return read


class TestHealthz:
    """`/healthz`."""

    def test_a_portal_that_works_says_so(self, anyone: Client, db: None) -> None:
        answer = anyone.get("/healthz")
        assert answer.status_code == 200
        body = answer.json()
        assert (body["status"], body["database"], body["queue_oldest_seconds"]) == ("ok", "ok", 0.0)
        assert body["version"] == Path("VERSION").read_text().strip()

    def test_without_a_database_it_is_503(self, anyone: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: Any) -> None:
            raise OperationalError("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr("django.db.backends.utils.CursorWrapper.execute", refused)
            answer = anyone.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "no database"
        assert b"away" not in answer.content

    def test_a_stuck_queue_is_told_and_is_no_reason_to_restart_the_web(
        self, anyone: Client, db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queueing, "oldest_queued_seconds", lambda: 75.0)
        answer = anyone.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "queue stuck")

    def test_a_cluster_that_was_not_heard_is_counted_and_its_machine_not_named(
        self, anyone: Client, db: None, scraped: Read
    ) -> None:
        now = timezone.now()
        for machine, ago in (("ops-1", 5), ("ops-2", 400)):
            ClusterBeat.objects.create(machine=machine, cluster="rescue", at=now - timedelta(seconds=ago))
        answer = anyone.get("/healthz")
        body = answer.json()
        assert (answer.status_code, body["status"]) == (200, "workers silent")
        assert (body["clusters"], body["clusters_silent"]) == (2, 1)
        assert b"ops-" not in answer.content
        found = scraped()
        assert found["portal_cluster_silent_seconds", "rescue", "ops-1"] == pytest.approx(5, abs=30)
        assert found["portal_cluster_silent_seconds", "rescue", "ops-2"] == pytest.approx(400, abs=30)


class TestMetrics:
    """`/metrics`."""

    @pytest.mark.parametrize("path", ["/metrics", "/api/prometheus/targets"])
    def test_they_need_a_token_with_the_scope(self, anyone: Client, token_for: Callable[..., str], path: str) -> None:
        assert anyone.get(path).status_code == 401
        wrong = {"authorization": f"Bearer {token_for(Scope.ALERTS)}"}
        assert anyone.get(path, headers=wrong).status_code == 403

    def test_deployments_are_counted_by_result(self, scraped: Read, enrol: Enrol) -> None:
        server = enrol()
        records.deployment(server, seconds=4)
        records.deployment(server, seconds=8)
        records.deployment(server, Status.FAILED)
        records.deployment(server, kind=Kind.ROLLBACK, seconds=2)
        found = scraped()
        assert found["portal_deployments_total", "production", "deployment", "succeeded"] == 2
        assert found["portal_deployments_total", "production", "deployment", "failed"] == 1
        assert found["portal_deployments_total", "production", "rollback", "succeeded"] == 1
        assert found["portal_deployment_last_duration_seconds", "production", "deployment"] == 4  # the failed one
        assert found["portal_deployment_median_duration_seconds", "production", "deployment"] == 6
        assert found["portal_deployment_last_duration_seconds", "production", "rollback"] == 2

    def test_what_waits_and_runs_is_shown(self, scraped: Read, enrol: Enrol) -> None:
        server = enrol()
        other = enrol("test-1", environment=Environment.objects.get(name="test"))
        records.deployment(server, Status.AWAITING_APPROVAL)
        records.deployment(server, Status.AWAITING_APPROVAL)
        records.deployment(other, Status.RUNNING, at=timezone.now() - timedelta(seconds=400))
        records.deployment(other, break_glass=True)
        found = scraped()
        assert found["portal_approvals_waiting", "production"] == 2
        assert found["portal_deployments_active", "test", "running"] == 1
        assert found["portal_deployment_running_seconds", "test"] == pytest.approx(400, abs=20)
        assert found["portal_break_glass_unreviewed",] == 1
        assert found["portal_queue_oldest_seconds",] == 0

    def test_bots_drift_drills_alerts_and_the_audit_head_are_there(self, scraped: Read, enrol: Enrol) -> None:
        server = enrol(drift={"differences": ["It runs nothing."]})
        enrol("prod-2", drift={"differences": []})
        records.beat(server)
        records.alert(server.environment)
        record_alone(actor=system_actor("tests"), name="drill.restore", subject="portal", passed=False)
        found = scraped()
        assert found["portal_bot_connected", "production", "prod-1"] == 1
        heard = found["portal_bot_heartbeat_timestamp_seconds", "production", "prod-1"]
        assert heard == pytest.approx(timezone.now().timestamp(), abs=30)
        assert found["portal_server_drift", "production", "prod-1"] == 1
        assert found["portal_server_drift", "production", "prod-2"] == 0
        assert found["portal_rehearsal_passed", "drill.restore"] == 0
        assert ("portal_rehearsal_timestamp_seconds", "backup.made") not in found
        assert found["portal_alerts_firing", "critical"] == 1
        assert found["portal_audit_head",] >= 2

    def test_a_bot_that_said_goodbye_is_not_connected(self, scraped: Read, enrol: Enrol) -> None:
        records.beat(enrol(), goodbye=True)
        assert scraped()["portal_bot_connected", "production", "prod-1"] == 0

    def test_the_processes_own_counters_follow(self, scraped: Read, db: None) -> None:
        scraped()
        assert any(name[0].startswith("django_http_requests") for name in scraped())

    def test_counters_of_all_processes_are_added(
        self, scraped: Read, db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(os.environ, "PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        assert ("portal_audit_head",) in scraped()

    def test_the_number_of_queries_is_fixed(self, scraped: Read, enrol: Enrol) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                scraped()
            return len(captured)

        records.deployment(enrol())
        scraped()  # the first use of the token is noted
        few = queries()
        for number in range(20):
            server = enrol(f"bot-{number}")
            records.beat(server)
            records.deployment(server)
        assert queries() == few

    def test_every_metric_is_documented(self, scraped: Read, enrol: Enrol) -> None:
        server = enrol()
        records.beat(server)
        records.alert(server.environment)
        record_alone(actor=system_actor("tests"), name="backup.made", subject="portal")
        records.deployment(server)
        documented = Path("docs/api.md").read_text()
        ours = {name[0].removesuffix("_created") for name in scraped() if name[0].startswith("portal_")}
        assert len(ours) > 12
        assert sorted(name for name in ours if f"`{name}`" not in documented) == []


class TestTargets:
    """`/api/prometheus/targets`."""

    def test_bots_are_listed_by_the_port_their_deployment_recorded(
        self, anyone: Client, token_for: Callable[..., str], enrol: Enrol
    ) -> None:
        enrol(port=8000, host="10.9.8.7")
        enrol("six-1", port=8000, host="fd00::7")
        enrol("new-1")
        enrol("old-1", port=8000, state=Server.State.RETIRED, host="10.0.0.9")
        enrol("portal-1", port=8000, roles=["portal"], host="10.0.0.8")
        answer = anyone.get("/api/prometheus/targets", headers={"authorization": f"Bearer {token_for(Scope.METRICS)}"})
        assert answer["Content-Type"] == "application/json"
        found = {entry["labels"]["server"]: entry for entry in json.loads(answer.content)}
        assert found == {
            "prod-1": {
                "targets": ["10.9.8.7:8000"],
                "labels": {"environment": "production", "server": "prod-1", "role": "bot"},
            },
            "six-1": {
                "targets": ["[fd00::7]:8000"],
                "labels": {"environment": "production", "server": "six-1", "role": "bot"},
            },
        }
