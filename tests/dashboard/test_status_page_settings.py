"""Choosing in the control room what strangers see."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dashboard.models import StatusPage
from dashboard.services.statuspage import EDITABLE, configure_status_page
from deployments.access.policy import user_actor
from deployments.models import AuditEvent
from engine.errors import InvalidRequest, NotAllowed
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db


def signed_in(make_person: MakePerson, role: str) -> Client:
    make_person("mara", role)
    client = Client()
    client.force_login(User.objects.get(username="mara"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_an_administrator_chooses_and_the_audit_trail_keeps_it(make_person: MakePerson) -> None:
    client = signed_in(make_person, "administrator")
    address = client.get(reverse("admin:dashboard_statuspage_changelist"))["Location"]
    assert "What people who are not signed in see" in client.get(address).content.decode()
    assert not StatusPage.objects.exists()
    answer = client.post(address, {"title": "Rosey", "public": "on", "show_charts": "on"})
    assert answer.status_code == 302
    page = StatusPage.objects.get()
    assert (page.title, page.public, page.show_charts, page.show_users) == ("Rosey", True, True, False)
    event = AuditEvent.objects.get(name="status_page.configured")
    assert event.data["changes"]["title"] == ["CyTube Ops", "Rosey"]
    assert "Status page configured" in client.get(address).content.decode()


def test_others_may_look_and_not_choose(make_person: MakePerson) -> None:
    client = signed_in(make_person, "operator")
    address = reverse("admin:dashboard_statuspage_change", args=[1])
    assert client.get(address).status_code == 200
    assert client.post(address, {"title": "Mine"}).status_code == 403
    with pytest.raises(NotAllowed):
        configure_status_page(actor=user_actor(User.objects.get(username="mara")), changes={"public": False})
    assert not StatusPage.objects.exists()


def test_only_its_own_settings_are_taken(make_person: MakePerson) -> None:
    make_person("mara", "administrator")
    with pytest.raises(InvalidRequest):
        configure_status_page(actor=user_actor(User.objects.get(username="mara")), changes={"id": 2})


def test_every_setting_can_be_chosen() -> None:
    assert set(EDITABLE) == {field.name for field in StatusPage._meta.fields} - {"id"}
