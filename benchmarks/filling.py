"""A portal with a long history, made in bulk: what a busy team leaves behind in some years.

Every row is as the services would have written it as far as pages, lists and commands read it; the audit trail is a
whole chain. The numbers of rows are the caller's: tests fill a hundredth of what benchmarks do.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Max, Model
from django.utils import timezone

from alerting.models import Alert, AlertReceipt
from dashboard.models import BotState
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.lifecycle import Kind, Status, StepState, TargetStatus
from deployments.models import (
    ApiToken,
    Approval,
    AuditEvent,
    Deployment,
    Environment,
    LogLine,
    NotificationChannel,
    NotificationDelivery,
    Release,
    Server,
    Step,
    Target,
)
from deployments.snapshot import seal

BATCH = 5000
STEPS = ("preflight", "stage", "dependencies", "backup", "activate", "restart", "verify")


@dataclass(frozen=True)
class Size:
    """How many rows. `environments`, `servers`, `people` are the fleet; the others are its history."""

    environments: int = 200
    servers: int = 1_000
    people: int = 100
    releases: int = 2_000
    deployments: int = 100_000
    lines: int = 1_000_000
    alerts: int = 100_000
    events: int = 1_000_000

    def history_times(self, factor: float) -> "Size":
        """The same fleet with so many times the history."""
        named = ("releases", "deployments", "lines", "alerts", "events")
        return replace(self, **{name: int(getattr(self, name) * factor) for name in named})

    def fleet_times(self, factor: float) -> "Size":
        """The same history with so many times the fleet."""
        named = ("environments", "servers", "people")
        return replace(self, **{name: int(getattr(self, name) * factor) for name in named})


FULL = Size()


def fill(size: Size) -> None:
    """Add rows until there are as many as `size` says; may be called again with a larger one."""
    chance = random.Random(1)
    now = timezone.now()
    _people(size)
    environments = _environments(size)
    releases = _releases(size)
    _servers(size, environments, releases, now)
    _deployments(size, environments, releases, now, chance)
    _lines(size, now)
    _alerts(size, environments, now)
    _messages(size.deployments)
    _events(size.events, now)


def counts() -> dict[str, int]:
    """Rows of every table that grows."""
    models = (Environment, Server, Release, Deployment, LogLine, Alert, AuditEvent)
    return {model._meta.model_name or "": model._default_manager.count() for model in models}


def _write(model: type[Model], rows: Iterable[Any]) -> None:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        model._default_manager.bulk_create(batch)


def _missing(model: type[Model], wanted: int) -> range:
    there = model._default_manager.count()
    return range(there + 1, wanted + 1)


def _people(size: Size) -> None:
    numbers = _missing(User, size.people)
    _write(User, (User(username=f"person-{number}", is_staff=True, password="!") for number in numbers))
    viewers = Group.objects.get(name="viewer")
    through = User.groups.through
    pairs = User.objects.filter(groups=None, username__startswith="person-").values_list("pk", flat=True)
    _write(through, [through(user_id=pk, group_id=viewers.pk) for pk in list(pairs)])
    owner = User.objects.filter(username__startswith="person-").first()
    tokens = (
        ApiToken(
            name=f"token-{number}", digest=hashlib.sha256(f"{number}".encode()).hexdigest(), prefix="cyop_fill",
            owner=owner, scopes=["read"], created_by="filling",
        )
        for number in _missing(ApiToken, size.people)
    )  # fmt: skip
    _write(ApiToken, tokens)


def _environments(size: Size) -> list[Environment]:
    numbers = _missing(Environment, size.environments)
    _write(
        Environment,
        (
            Environment(
                name=f"place-{number}", order=number, application=f"app-{number // 2}", approvals_required=1,
                public_key="ssh-ed25519 AAAA", private_key="-" * 400,
            )
            for number in numbers
        ),
    )  # fmt: skip
    return list(Environment.objects.order_by("pk"))


def _releases(size: Size) -> list[Release]:
    made = (
        Release(
            identifier=f"1.0.{number}-{number:012x}", name="rosey", version=f"1.0.{number}",
            manifest_digest=f"{number:064x}", artifact_digest=f"{number:064x}", artifact=f"releases/{number}.tar",
            size=1000, files=9, builder="filling", change_log="Answers better\n" * 20,
        )
        for number in _missing(Release, size.releases)
    )  # fmt: skip
    _write(Release, made)
    return list(Release.objects.order_by("pk").defer("change_log"))


def _servers(size: Size, environments: list[Environment], releases: list[Release], now: datetime) -> None:
    numbers = _missing(Server, size.servers)
    made = (
        Server(
            name=f"server-{number}", environment=environments[number % len(environments)], order=number,
            host=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", roles=["bot"], host_key="ssh-ed25519 AAAA",
            fingerprint="SHA256:" + "a" * 43, state=Server.State.PROVISIONED, current_release=releases[-1],
            facts={"python": "3.11", "health": {"port": 8000, "path": "/api/health"}},
        )
        for number in numbers
    )  # fmt: skip
    _write(Server, made)
    states = (
        BotState(
            server=server, connected=True, channel="rosey", uptime=1e5, version="1.0.0", user_count=9, requests=100,
            errors=1, release="1.0.0-abc", response_ms=2.0, sent_at=now, heard_at=now + timedelta(minutes=30),
            first_heard_at=now - timedelta(days=200), changed_at=now,
        )
        for server in Server.objects.filter(bot_state=None)
    )  # fmt: skip
    _write(BotState, list(states))


def _deployments(
    size: Size, environments: list[Environment], releases: list[Release], now: datetime, chance: random.Random
) -> None:
    numbers = _missing(Deployment, size.deployments)
    if not numbers:
        return
    last = Deployment.objects.aggregate(last=Max("pk"))["last"] or 0
    endings = [Status.SUCCEEDED] * 8 + [Status.FAILED, Status.ROLLED_BACK]

    def made() -> Iterator[Deployment]:
        for number in numbers:
            at = now - timedelta(minutes=5 * (numbers.stop - number) + 10)
            yield Deployment(
                environment=environments[number % len(environments)], release=releases[number % len(releases)],
                kind=Kind.ROLLBACK if chance.random() < 0.05 else Kind.DEPLOYMENT, status=chance.choice(endings),
                requested_by="person-1", reason="Answers better", seal="0" * 64,
                snapshot=_snapshot(environments[number % len(environments)], releases[number % len(releases)]),
                requested_at=at, queued_at=at, started_at=at, verified_at=at, finished_at=at + timedelta(seconds=4),
                sentence="Verified.", outcome="verified",
            )  # fmt: skip

    _write(Deployment, made())
    server = Server.objects.order_by("pk").first()
    new = list(Deployment.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True))
    _write(Target, (Target(deployment_id=pk, server=server, order=0, status=TargetStatus.SUCCEEDED) for pk in new))
    targets = list(Target.objects.filter(deployment_id__gt=last).order_by("pk").values_list("pk", flat=True))
    steps = (
        Step(target_id=pk, name=name, state=StepState.OK, started_at=now, finished_at=now, seconds=0.5)
        for pk in targets
        for name in STEPS
    )
    _write(Step, steps)
    for environment in environments:
        _consents(environment)


def _snapshot(environment: Environment, release: Release) -> dict[str, Any]:
    known = {name: getattr(release, name) for name in ("identifier", "manifest_digest", "artifact_digest")}
    return {
        "format": 1, "kind": "deployment", "environment": environment.name, "release": known,
        "configuration": {"digest": "c" * 64, "files": {}}, "targets": [],
        "plan": {"steps": list(STEPS), "deadlines": {}, "keep": 5},
        "policy": {"approvals_required": 1, "on_failure": "revert every server", "bake_seconds": 300},
    }  # fmt: skip


def _consents(environment: Environment) -> None:
    """The newest successes of an environment with the approvals and events that make them ways back."""
    rows = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED).select_related("release")
    for row in rows.order_by("-finished_at")[:10]:
        sealed: Any = seal(snapshot := _snapshot(environment, row.release))
        Deployment.objects.filter(pk=row.pk).update(snapshot=snapshot, seal=sealed, kind=Kind.DEPLOYMENT)
        subject = f"deployment:{row.pk}"
        with transaction.atomic():
            Approval.objects.get_or_create(deployment=row, actor="person-2", decision="approved", seal=sealed)
            for name, person in (("requested", "person-1"), ("approved", "person-2"), ("succeeded", "person-1")):
                actor, event = Actor("user", person), f"deployment.{name}"
                trail.record(actor=actor, name=event, subject=subject, environment=environment, data={"seal": sealed})


def _lines(size: Size, now: datetime) -> None:
    """A tenth of them belong to the latest deployment but one, the others to all in turn."""
    targets = list(Target.objects.order_by("pk").values_list("deployment_id", "pk"))
    if not targets:
        return

    def made() -> Iterator[LogLine]:
        for number in _missing(LogLine, size.lines):
            deployment, target = targets[-2] if number % 10 == 0 else targets[number % len(targets)]
            yield LogLine(
                deployment_id=deployment, target_id=target, at=now, step="stage", stream="stdout",
                text=f"line {number} of what a server said",
            )  # fmt: skip

    _write(LogLine, made())


def _alerts(size: Size, environments: list[Environment], now: datetime) -> None:
    last = Alert.objects.aggregate(last=Max("pk"))["last"] or 0
    made = (
        Alert(
            fingerprint=f"{number % 5000:x}", name="BotDown", severity="critical",
            environment=environments[number % len(environments)],
            status=Alert.Status.FIRING if number <= 5 else Alert.Status.RESOLVED,
            labels={"alertname": "BotDown"}, annotations={"summary": "The bot keeps silent"},
            starts_at=now - timedelta(minutes=5 * number), ends_at=None if number <= 5 else now,
            last_received_at=now - timedelta(minutes=5 * number),
        )
        for number in _missing(Alert, size.alerts)
    )  # fmt: skip
    _write(Alert, made)
    receipts = (
        AlertReceipt(alert_id=pk, status="firing", receiver="portal", group_key="{}", received_at=at)
        for pk, at in list(Alert.objects.filter(pk__gt=last).values_list("pk", "starts_at"))
    )
    _write(AlertReceipt, receipts)


def _messages(wanted: int) -> None:
    channel, _ = NotificationChannel.objects.get_or_create(
        name="filling", defaults={"url": "json://127.0.0.1:9", "enabled": False}
    )
    made = (
        NotificationDelivery(
            channel=channel, event="succeeded", subject=f"deployment:{number}", title="Succeeded", body="…",
            state=NotificationDelivery.State.DELIVERED, attempts=1,
        )
        for number in _missing(NotificationDelivery, wanted)
    )  # fmt: skip
    _write(NotificationDelivery, made)


def _events(wanted: int, now: datetime) -> None:
    head = trail.head()
    names = ("deployment.requested", "deployment.approved", "deployment.succeeded", "session.signed_in")

    def made() -> Iterator[AuditEvent]:
        previous = head.hash
        for sequence in range(head.sequence + 1, wanted + 1):
            event = AuditEvent(
                sequence=sequence, at=now, actor=f"person-{sequence % 97}", name=names[sequence % 4],
                subject=f"deployment:{sequence // 4 + 1}", environment="test",
                data={"seal": "0" * 64, "release": f"1.0.{sequence % 1000}"}, previous_hash=previous,
            )  # fmt: skip
            event.hash = previous = trail.digest(event)
            yield event

    _write(AuditEvent, made())
