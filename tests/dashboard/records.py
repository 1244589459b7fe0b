"""Records as services would have written them, for what only reads."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from alerting.models import Alert
from dashboard.health.document import HealthDocument
from dashboard.models import BotState
from dashboard.services.heartbeats import Heartbeat, accept
from deployments.lifecycle import ACTIVE, WAITING, Kind, Status, TargetStatus
from deployments.models import Deployment, Environment, Release, Server, Step, Target
from tests.dashboard.conftest import DOCUMENT

STEPS = ["preflight", "stage", "dependencies", "backup", "activate", "restart", "verify"]


def beat(server: Server, ago: float = 0.0, *, goodbye: bool = False, **changes: Any) -> BotState:
    """A heartbeat that arrived `ago` seconds before now."""
    fields = DOCUMENT | changes
    fields["status"] = "connected" if fields["connected"] else "disconnected"
    now = timezone.now() - timedelta(seconds=ago)
    heartbeat = Heartbeat(HealthDocument(**fields), "1.0.0-abc", now, 2.0, goodbye)
    return accept(server=server, heartbeat=heartbeat, now=now)


def release(version: str = "1.0.0", **more: Any) -> Release:
    """A release whose artifact is nowhere."""
    fields: dict[str, Any] = {
        "name": "rosey",
        "manifest_digest": "a" * 64,
        "artifact_digest": "b" * 64,
        "artifact": "nowhere",
        "size": 1,
        "files": 1,
        "builder": "tests",
    }
    return Release.objects.create(identifier=f"{version}-abc", version=version, **(fields | more))


def deployment(server: Server, status: Status = Status.SUCCEEDED, **more: Any) -> Deployment:
    """A deployment to `server` with its target."""
    now: datetime = more.pop("at", timezone.now() - timedelta(minutes=5))
    seconds: float = more.pop("seconds", 4.0)
    wanted = more.pop("release", None) or Release.objects.first() or release()
    begun = status not in WAITING | {Status.QUEUED}
    fields: dict[str, Any] = {
        "environment": server.environment,
        "release": wanted,
        "kind": Kind.DEPLOYMENT,
        "requested_by": "olga",
        "seal": "5ea1" * 16,
        "snapshot": snapshot(server, wanted),
        "requested_at": now,
        "started_at": now if begun else None,
        "finished_at": None if status in ACTIVE | WAITING else now + timedelta(seconds=seconds),
    }
    row = Deployment.objects.create(status=status, **(fields | more))
    state = {Status.SUCCEEDED: TargetStatus.SUCCEEDED, Status.ROLLED_BACK: TargetStatus.REVERTED}
    Target.objects.create(
        deployment=row,
        server=server,
        order=0,
        status=state.get(status, TargetStatus.RUNNING if status in ACTIVE else TargetStatus.FAILED),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
    return row


def snapshot(server: Server, wanted: Release) -> dict[str, Any]:
    """What a service would have sealed."""
    return {
        "format": 1,
        "kind": "deployment",
        "environment": server.environment.name,
        "application": "rosey",
        "release": {
            "identifier": wanted.identifier,
            "version": wanted.version,
            "manifest_digest": wanted.manifest_digest,
            "artifact_digest": wanted.artifact_digest,
        },
        "configuration": {"digest": "c" * 64, "files": {}},
        "targets": [{"server": server.name, "roles": ["bot"], "secrets": {"cytube-password": 2}, "base": None}],
        "plan": {"steps": STEPS, "deadlines": {}, "keep": 5},
        "policy": {"approvals_required": 0, "on_failure": "revert every server", "bake_seconds": 300},
    }


def steps(row: Deployment, done: int, then: str = "running") -> None:
    """The first `done` steps succeeded; the one after them is `then`."""
    target = row.targets.get()
    for index, name in enumerate(STEPS[: done + 1]):
        ended = index < done
        Step.objects.create(
            target=target,
            name=name,
            state="ok" if ended else then,
            started_at=timezone.now(),
            finished_at=timezone.now() if ended else None,
            seconds=0.5 if ended else None,
            facts={"samples": 3} if name == "verify" else {},
        )


def alert(environment: Environment, name: str = "BotDown", **more: Any) -> Alert:
    """A firing alert."""
    now = timezone.now()
    fields: dict[str, Any] = {
        "fingerprint": f"{Alert.objects.count():x}",
        "severity": "critical",
        "status": Alert.Status.FIRING,
        "labels": {"alertname": name, "instance": "10.9.8.7:8000"},
        "annotations": {"summary": "The bot at 10.9.8.7 keeps silent"},
        "starts_at": now - timedelta(minutes=3),
    }
    return Alert.objects.create(name=name, environment=environment, **(fields | more))
