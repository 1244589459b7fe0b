"""A big portal: every row as a busy year would leave it. Imported where Django is set up."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from alerting.models import Alert
from dashboard.intervals import KEPT, beginning
from dashboard.models import BotState, Sample
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server, Target

DEPLOYMENTS, SAMPLES = 100_000, 1_000_000
_OLDER = {60: 700, 600: 1152, 3600: 1400, 86400: 200}


def fill(bots: int) -> str:
    """Write it all, for so many bots; says how much that is."""
    now = timezone.now()
    environments = list(Environment.objects.all())
    servers = _servers(environments, bots, now)
    _deployments(environments, servers, now)
    _alerts(environments[0], now)
    Sample.objects.bulk_create(_samples(servers, now), batch_size=5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return f"{bots} bots, {Deployment.objects.count():,} deployments, {Sample.objects.count():,} samples"


def _servers(environments: list[Environment], bots: int, now: datetime) -> list[Server]:
    chance = random.Random(1)
    release = Release.objects.create(
        identifier="1.0.0-abc", name="rosey", version="1.0.0", manifest_digest="0" * 64, artifact_digest="0" * 64,
        artifact="none", size=1, files=1, builder="bench",
    )  # fmt: skip
    servers = Server.objects.bulk_create(
        Server(
            name=f"bot-{number:03}", environment=environments[number % len(environments)], order=number,
            host=f"10.0.0.{number}", port=22, roles=["bot"], host_key="x", fingerprint="x", state="provisioned",
            current_release=release, facts={"python": "3.11", "health": {"port": 8000, "path": "/api/health"}},
        )
        for number in range(bots)
    )  # fmt: skip
    BotState.objects.bulk_create(
        BotState(
            server=server, connected=chance.random() > 0.03, channel="rosey", uptime=1e5, version="1.0.0",
            user_count=9, requests=100, errors=1, release="1.0.0-abc", response_ms=2.0, sent_at=now,
            heard_at=now + timedelta(minutes=5),  # they stay connected while we measure
            first_heard_at=now - timedelta(days=200), changed_at=now,
        )
        for server in servers
    )  # fmt: skip
    return servers


def _deployments(environments: list[Environment], servers: list[Server], now: datetime) -> None:
    chance = random.Random(1)
    release = Release.objects.get()
    Deployment.objects.bulk_create(
        (
            Deployment(
                environment=environments[number % len(environments)], release=release,
                kind=Kind.ROLLBACK if number % 20 == 0 else Kind.DEPLOYMENT,
                status=chance.choice([Status.SUCCEEDED] * 8 + [Status.FAILED, Status.ROLLED_BACK]),
                requested_by="bench", seal="0" * 64, snapshot={"plan": {"steps": ["stage", "verify"]}},
                requested_at=now - timedelta(minutes=5 * (DEPLOYMENTS - number)),
                started_at=now - timedelta(minutes=5 * (DEPLOYMENTS - number)),
                finished_at=now - timedelta(minutes=5 * (DEPLOYMENTS - number), seconds=-4),
            )
            for number in range(DEPLOYMENTS)
        ),
        batch_size=5000,
    )  # fmt: skip
    Target.objects.bulk_create(
        (Target(deployment_id=pk, server=servers[0], order=0) for pk in range(1, DEPLOYMENTS + 1, 10)), batch_size=5000
    )


def _alerts(environment: Environment, now: datetime) -> None:
    Alert.objects.bulk_create(
        Alert(
            fingerprint=f"{number:x}", name="BotDown", severity="critical", environment=environment,
            status=Alert.Status.FIRING if number < 5 else Alert.Status.RESOLVED,
            starts_at=now - timedelta(hours=number),
            ends_at=None if number < 5 else now,
        )
        for number in range(2000)
    )  # fmt: skip


def _samples(servers: list[Server], now: datetime) -> Iterator[Sample]:
    shares = {**_OLDER, 10: SAMPLES // len(servers) - sum(_OLDER.values())}
    assert set(shares) == set(KEPT)
    for server in servers:
        for resolution, count in shares.items():
            first = beginning(now, resolution)
            for back in range(count):
                yield Sample(
                    server=server, resolution=resolution, at=first - timedelta(seconds=back * resolution),
                    beats=resolution // 10, connected_seconds=resolution, observed_seconds=resolution,
                    users_sum=resolution, users_max=12,
                    requests=3, errors=0, response_sum=resolution / 5, response_beats=resolution // 10,
                    response_max=9.0, starts=0,
                )  # fmt: skip
