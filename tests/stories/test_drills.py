"""Rehearsals: what is restored, rolled back and forward, and told."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from alerting.dead_mans_switch import SWITCH
from alerting.models import Alert
from dashboard.readiness.rows import Verdict
from dashboard.readiness.scorecard import scorecards
from dashboard.tasks import drill_alerts as scheduled_alerts
from deployments.backup.backups import make_backup
from deployments.core.actors import system_actor
from deployments.drills import records as shown
from deployments.drills.drills import drill_restore, drill_rollback
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Environment, NotificationChannel, NotificationDelivery, Release
from deployments.tasks import drill_rollback as scheduled_rollback
from engine.errors import InvalidRequest, NotFound
from tests.fixtures.fleet import Fleet
from tests.fixtures.records import MakePerson

PASSPHRASE = "correct horse battery staple"
ACTOR = system_actor("tests")


@pytest.mark.django_db(transaction=True)
def test_the_last_backup_is_restored_into_a_scratch_portal(state_dir: Path, tmp_path: Path) -> None:
    make_backup(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE, keep=1)
    held = drill_restore(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE)
    assert held.problems == ["The backup has no audit trail."]  # nothing had happened before the first backup
    make_backup(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE, keep=1)
    held = drill_restore(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE)
    assert held.passed, held.problems
    assert held.measured["restore"] > 0
    latest = {drill.key: drill for drill in shown.latest()}
    assert latest["drill.restore"].passed
    assert not list(state_dir.glob("drill-*"))


@pytest.mark.django_db(transaction=True)
def test_a_damaged_backup_fails_the_drill_and_that_is_recorded(state_dir: Path, tmp_path: Path) -> None:
    made = make_backup(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE, keep=1)
    content = bytearray(made.path.read_bytes())
    content[-30] ^= 0x10
    made.path.write_bytes(content)
    held = drill_restore(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE)
    assert not held.passed
    assert "altered" in held.problems[0]
    event = AuditEvent.objects.first()
    assert event is not None
    assert event.data["passed"] is False


@pytest.mark.django_db
def test_a_drill_without_a_backup_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"manage\.py backup"):
        drill_restore(actor=ACTOR, directory=tmp_path, passphrase=PASSPHRASE)


@pytest.mark.django_db
def test_a_drill_with_nothing_to_go_back_to_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no earlier release"):
        drill_rollback(actor=ACTOR, environment=Environment.objects.get(name="test"), carry_out=lambda one: one)


@pytest.mark.django_db
def test_a_scheduled_drill_is_held_only_where_it_is_safe(state_dir: Path) -> None:
    assert scheduled_rollback() == "not held", "nothing was deployed"
    assert scheduled_alerts() == "not held", "nobody has ever heard of monitoring"
    assert not AuditEvent.objects.exists()
    first = Schedule.objects.get(name="drill-alerts").next_run
    assert first > timezone.now() + timedelta(days=6), "setting a portal up is no reason for a drill"


@pytest.mark.django_db
def test_a_scheduled_drill_that_fails_is_recorded_and_told(settings: Any) -> None:
    NotificationChannel.objects.create(name="ops", url="json://127.0.0.1:9/")
    Alert.objects.create(fingerprint="a", name=SWITCH, severity="none", status="firing", starts_at=timezone.now())
    assert scheduled_alerts() == "failed"
    event = AuditEvent.objects.get(name="drill.alerts")
    assert event.data["problems"][0].startswith("Alertmanager does not answer")
    assert NotificationDelivery.objects.get().title == "Portal: the alerts drill failed"
    settings.DRILLS = False
    assert scheduled_alerts() == "not held"


@pytest.mark.django_db(transaction=True)
def test_a_restore_drill_is_held_again_when_the_last_is_old(state_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    make_backup(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE, keep=1)
    make_backup(actor=ACTOR, directory=tmp_path / "b", passphrase=PASSPHRASE, keep=1)
    monkeypatch.setenv("PORTAL_BACKUP_PASSPHRASE", PASSPHRASE)
    for _ in range(2):
        call_command("drill", "restore", "--from", str(tmp_path / "b"), "--unless-within", "6", stdout=StringIO())
    assert AuditEvent.objects.filter(name="drill.restore").count() == 1


@pytest.mark.hosts
def test_a_rollback_drill_goes_back_and_forward_and_leaves_no_release_in_quarantine(fleet: Fleet) -> None:
    fleet.enrol()
    old, new = fleet.release("1.0.0"), fleet.release("1.1.0")
    assert fleet.deploy(old).status == Status.SUCCEEDED
    assert fleet.deploy(new).status == Status.SUCCEEDED
    said = StringIO()
    call_command("drill", "rollback", "test", "--inline", "--json", stdout=said)
    told: dict[str, Any] = json.loads(said.getvalue())
    assert told["passed"], told
    assert 0 < told["measured"]["back"] < 300
    assert 0 < told["measured"]["forward"] < 300
    assert fleet.current() == new.identifier
    assert not Release.objects.exclude(quarantined_at=None).exists()
    (row,) = {row.sentence: row for card in scorecards(timezone.now()) for row in card.rows if row.key == "7"}.values()
    assert row.unknown == f"never measured; missing: a look at what lies on {fleet.server().name}"
    call_command(*row.measure.removeprefix("manage.py ").split(), stdout=StringIO())
    (row,) = {row.sentence: row for card in scorecards(timezone.now()) for row in card.rows if row.key == "7"}.values()
    assert row.verdict is Verdict.PASS, row.sentence


@pytest.mark.django_db
def test_an_empty_portal_is_not_ready_and_says_of_each_fact_why(state_dir: Path, settings: Any) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    (card,) = scorecards(timezone.now())
    assert [row.key for row in card.conditions] == [str(number) for number in range(1, 11)]
    assert {row.verdict for row in card.rows} == {Verdict.UNMEASURED}
    assert all(row.sentence.endswith(".") and row.measure for row in card.rows)


@pytest.mark.django_db
def test_the_scorecard_is_for_people_who_are_signed_in(
    state_dir: Path, settings: Any, make_person: MakePerson, client: Client
) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:9"
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT = state_dir / "static"
    assert client.get("/readiness/").status_code == 302
    make_person("vera", "viewer")
    from django.contrib.auth.models import User

    client.force_login(User.objects.get(username="vera"), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/readiness/")
    assert answer.status_code == 200
    assert b"0 of 13 pass" in answer.content
