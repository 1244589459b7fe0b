"""The first steps are done when the records say so, and an empty portal shows them to whoever opens it."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from dashboard.selectors.first_run import first_steps
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release, Secret, Server, SigningKey
from tests.dashboard import records

pytestmark = pytest.mark.django_db
TITLES = ["An administrator", "A passkey", "A release", "A server", "Secrets", "A deployment", "Monitoring"]


def done() -> list[str]:
    """What is done."""
    return [step.title for step in first_steps() if step.done]


def test_each_step_is_done_when_it_is_and_not_before(
    make_release: Callable[[str], Release], ready_server: Callable[[Environment], Server]
) -> None:
    assert [step.title for step in first_steps()] == TITLES
    assert done() == []
    ada = User.objects.create_user("ada", is_staff=True)
    assert done() == [], "an account without a role administers nothing"
    ada.groups.set(Group.objects.filter(name="administrator"))
    assert done() == TITLES[:1]
    key = SigningKey.objects.create(person="ada", name="hers", credential="c", public_key="k", fingerprint="f")
    assert done() == TITLES[:2]
    release = make_release("1.0.0")
    assert done() == TITLES[:3]
    server = ready_server(Environment.objects.get(name="test"))
    Server.objects.update(state=Server.State.ENROLLED)
    assert done() == TITLES[:3], "enrolled is not ready"
    Server.objects.update(state=Server.State.PROVISIONED)
    Secret.objects.create(environment=server.environment, name="cytube-password", version=1, value="x")
    assert done() == TITLES[:5]
    row = records.deployment(server, Status.FAILED, release=release)
    assert done() == TITLES[:5], "a failure is no deployment yet"
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED)
    assert done() == TITLES[:6]
    SigningKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    assert "A passkey" not in done(), "what was revoked is not there any more"


def test_an_empty_portal_leads_everybody_there_and_a_used_one_only_members() -> None:
    stranger = Client()
    assert 'href="/start/"' in stranger.get("/").content.decode()
    page = stranger.get("/start/").content.decode()
    assert "0 of 7 done" in page
    assert "./manage.py createsuperuser" in page
    assert 'href="/admin/auth/user/"' not in page, "who cannot sign in is sent to no list"
    ada = User.objects.create_user("ada", is_staff=True)
    ada.groups.set(Group.objects.filter(name="administrator"))
    assert stranger.get("/start/").status_code == 302
    stranger.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    page = stranger.get("/start/").content.decode()
    assert "1 of 7 done" in page
    assert re.search(r'class="card next"><header><h2>A passkey', page)
    assert 'href="/start/"' in stranger.get("/admin/").content.decode()


def test_the_link_leads_to_the_first_step_that_is_open_whatever_was_done_out_of_turn(
    make_release: Callable[[str], Release],
) -> None:
    make_release("1.0.0")
    page = Client().get("/start/").content.decode()
    assert "1 of 7 done" in page
    assert re.search(r'href="#step-1">an administrator<', page)
    assert re.search(r'id="step-1" class="card next"', page)
