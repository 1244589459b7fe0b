"""Watching after success: what a new critical alert does, under both policies, and which alerts do not count."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.execution import claims, finish
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Environment, Release, Server
from deployments.requests.bake import baking_deployment, report_alert
from deployments.requests.requests import request_deployment

WATCHER = system_actor("alertmanager")


@pytest.fixture
def baking(make_release: Callable[[str], Release], ready_server: Callable[[Environment], Server]) -> Deployment:
    """1.0.1 was deployed over 1.0.0 just now, and is watched for five minutes."""
    environment = Environment.objects.get(name="test")
    environment.bake_seconds = 300
    environment.save()
    ready_server(environment)
    return [succeed(environment, make_release(version)) for version in ("1.0.0", "1.0.1")][-1]


def succeed(environment: Environment, release: Release) -> Deployment:
    """A deployment that succeeds without a server."""
    asked = request_deployment(actor=system_actor("tests"), release=release, environment=environment)
    claimed = claims.claim(asked.pk)
    assert claimed is not None
    deployment = claimed.deployment
    deployment.targets.update(status=TargetStatus.SUCCEEDED)
    assert finish.finish(
        actor=system_actor("worker"),
        deployment=deployment,
        status=Status.SUCCEEDED,
        outcome="verified",
        sentence="It runs.",
        claim=claimed.token,
    )
    deployment.refresh_from_db()
    return deployment


def fire(deployment: Deployment, *, severity: str = "critical", began_at: datetime | None = None) -> Deployment | None:
    """Alertmanager tells of an alert."""
    return report_alert(
        actor=WATCHER,
        environment=Environment.objects.get(pk=deployment.environment_id),
        name="BotDisconnected",
        severity=severity,
        began_at=began_at or timezone.now(),
        summary="test-1 is not in its channel",
    )


def test_a_new_critical_alert_rolls_back_and_is_cited(baking: Deployment) -> None:
    rollback = fire(baking)
    assert rollback is not None
    assert rollback.kind == Kind.ROLLBACK
    assert rollback.status == Status.QUEUED
    assert rollback.rollback_of == baking
    assert rollback.release.version == "1.0.0"
    assert "BotDisconnected" in rollback.reason
    assert f"deployment {baking.pk} was baking" in rollback.reason
    assert rollback.requested_by == "system:alertmanager"
    assert trail.verify() == []


def test_the_other_policy_pauses_the_environment_and_keeps_the_release(baking: Deployment) -> None:
    Deployment.objects.filter(pk=baking.pk).update(
        snapshot={**baking.snapshot, "policy": {**baking.snapshot["policy"], "bake_action": "pause"}}
    )
    assert fire(baking) is None
    environment = Environment.objects.get(name="test")
    assert environment.locked
    assert "BotDisconnected" in environment.lock_reason
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
    assert AuditEvent.objects.filter(name="environment.locked").count() == 1


def test_one_that_was_firing_before_does_not_count(baking: Deployment) -> None:
    assert baking.started_at is not None
    assert fire(baking, began_at=baking.started_at - timedelta(seconds=1)) is None
    assert baking_deployment(baking.environment) is not None, "it is still being watched"


@pytest.mark.parametrize("severity", ["warning", "info", ""])
def test_only_critical_ones_count(baking: Deployment, severity: str) -> None:
    assert fire(baking, severity=severity) is None


def test_the_same_alert_told_again_acts_once(baking: Deployment) -> None:
    assert fire(baking) is not None
    assert fire(baking) is None
    assert Deployment.objects.filter(kind=Kind.ROLLBACK).count() == 1
    assert not Environment.objects.get(name="test").locked


def test_after_the_bake_nothing_happens_by_itself(baking: Deployment) -> None:
    Deployment.objects.update(bake_until=timezone.now() - timedelta(seconds=1))
    assert fire(baking) is None


def test_a_rollback_is_not_watched(baking: Deployment) -> None:
    Deployment.objects.filter(pk=baking.pk).update(kind=Kind.ROLLBACK)
    assert fire(baking) is None


def test_without_a_way_back_the_environment_is_paused_instead(baking: Deployment) -> None:
    Release.objects.filter(version="1.0.0").update(quarantined_at=timezone.now())
    assert fire(baking) is None
    environment = Environment.objects.get(name="test")
    assert "could not be rolled back" in environment.lock_reason


def test_it_holds_no_worker(baking: Deployment) -> None:
    from django_q.models import OrmQ

    assert not [row for row in OrmQ.objects.all() if "bak" in str(row.task.get("func"))]


def test_what_an_operator_does_meanwhile_ends_the_watch(baking: Deployment, make_release: Any) -> None:
    request_deployment(actor=system_actor("tests"), release=make_release("1.0.2"), environment=baking.environment)
    assert fire(baking) is None, "another deployment is on its way already"
