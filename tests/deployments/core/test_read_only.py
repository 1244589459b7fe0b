"""A portal that has moved, is moving or is arriving changes nothing; reading goes on."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard import tasks as dashboard_tasks
from deployments import tasks
from deployments.access.export import export
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import read_only
from deployments.core.actors import system_actor
from deployments.core.read_only import NotInCharge, read_only_reason
from deployments.execution import reaper, run
from deployments.execution.claims import take_over
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, Move
from tests.fixtures.records import MakePerson, MakeRelease

pytestmark = pytest.mark.django_db
ACTOR = system_actor("tests")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVzZWxlc3M="
URL = "https://ops.example.org"


@pytest.fixture(autouse=True)
def static_files(settings: Any) -> None:
    """A directory of them, which WhiteNoise asks for."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


def moved(state: str = "gone", *, seconds: float = 60.0) -> Move:
    until = timezone.now() + timedelta(seconds=seconds)
    return Move.objects.create(
        server="ops-1", url=URL, host_key=KEY, state=state, head="1:" + "0" * 64, started_by="tests", until=until
    )


@pytest.fixture
def on_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{KEY} root@ops-1\n")
    monkeypatch.setattr(read_only, "HOST_KEYS", tmp_path)


def test_a_portal_that_never_moved_is_in_charge() -> None:
    assert read_only_reason() is None


def test_one_that_has_gone_names_its_successor() -> None:
    moved()
    assert str(read_only_reason()) == f"This portal has moved to {URL} and changes nothing any more. Go there."


def test_one_that_moves_waits_and_goes_on_when_its_move_has_died() -> None:
    move = moved("under_way")
    assert "is moving" in str(read_only_reason())
    Move.objects.filter(pk=move.pk).update(until=timezone.now())
    assert read_only_reason() is None


def test_one_that_arrives_waits_however_long_it_takes(on_the_server: None) -> None:
    move = moved("under_way", seconds=-60)
    assert "is arriving" in str(read_only_reason())
    Move.objects.filter(pk=move.pk).update(state="arrived")
    assert read_only_reason() is None


def test_it_may_move_on(on_the_server: None) -> None:
    moved("arrived")
    moved("gone")
    assert URL in str(read_only_reason())


def test_every_verb_but_reading_is_refused(make_person: MakePerson) -> None:
    everything = make_person("root", "viewer", "operator", "approver", "administrator")
    moved()
    for verb in Verb:
        if verb in ("view", "read_audit", "export_audit"):
            require(everything, verb)
        else:
            with pytest.raises(NotInCharge, match=URL):
                require(everything, verb)


def test_a_change_that_forgot_to_ask_is_rolled_back_with_its_event() -> None:
    moved()
    home = Environment.objects.get(name="test")

    @transaction.atomic
    def change() -> None:
        Environment.objects.filter(pk=home.pk).update(bake_seconds=7)
        trail.record(actor=ACTOR, name="environment.configured", subject="environment:test")

    with pytest.raises(NotInCharge, match=URL):
        change()
    home.refresh_from_db()
    assert home.bake_seconds != 7
    assert not AuditEvent.objects.filter(name="environment.configured").exists()


def test_workers_take_nothing_up(make_release: MakeRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Environment.objects.get(name="test")
    queued = Deployment.objects.create(
        environment=home, release=make_release("1.0.0"), kind=Kind.DEPLOYMENT, status=Status.QUEUED
    )
    moved()
    assert run.execute(queued.pk) is None
    Deployment.objects.filter(pk=queued.pk).update(status=Status.RUNNING, lease_until=timezone.now())
    queued.refresh_from_db()
    assert take_over(queued) is None
    assert reaper.reap() == []
    for task in (tasks.reap, tasks.expire_requests, tasks.deliver_notifications, dashboard_tasks.watch_monitoring):
        assert task() is None
    queued.refresh_from_db()
    assert (queued.status, queued.fence) == (Status.RUNNING, None)


def test_people_still_sign_in_and_read(client: Client, make_person: MakePerson) -> None:
    administrator = make_person("mara", "administrator")
    user = User.objects.get(username="mara")
    user.set_password("correct horse")
    user.save()
    moved()
    data = {"username": "mara", "password": "correct horse", "next": "/admin/"}
    assert client.post(reverse("admin:login"), data).status_code == 302
    for name in ("status", "deployments", "admin:index", "admin:deployments_server_changelist"):
        page = client.get(reverse(name))
        assert page.status_code == 200, name
        assert f"This portal has moved to {URL} and changes nothing any more." in page.content.decode(), name
    assert list(export(actor=administrator))
    assert trail.verify() == []


def test_health_tells_whether_it_is_in_charge_and_its_history(client: Client) -> None:
    trail.record_alone(actor=ACTOR, name="tests.began", subject="tests")
    body: dict[str, Any] = client.get("/healthz").json()
    assert (body["audit_head"], body["in_charge"]) == (str(trail.head()), True)
    moved()
    assert client.get("/healthz").json()["in_charge"] is False
