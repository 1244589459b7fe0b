"""A form that a service refuses comes back as it was sent, with the sentence beside the field that it is about."""

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from deployments.admin.base import PortalAdmin
from deployments.admin.forms import ModelForm
from deployments.models import AuditEvent, Secret
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@dataclass(frozen=True)
class Case:
    """What is sent to which form, what the service says, and beside which field; `kept` is in the answer again."""

    page: str
    sent: dict[str, Any]
    words: str
    about: str
    kept: tuple[str, ...]
    status: int = 422
    of: str = field(default="")


SETTINGS = {"bake_seconds": 300, "bake_action": "rollback", "order": 7, "batch": 3}
CASES = (
    Case(
        "deployments_environment_settings",
        {**SETTINGS, "configuration": '{"dice.json": {"room": "a very secret value"}}'},
        "The configuration holds the value of the secret room-password.",
        "configuration",
        (r"\[secret room-password\]", 'value="7"', 'value="3"'),
        of="production",
    ),
    Case(
        "auth_user_add",
        {"username": "eve", "first_name": "E\u202eve", "email": "eve@example.org", "roles": ["viewer", "operator"]},
        "which is not shown as what it is",
        "",
        ('value="eve"', 'value="eve@example.org"', 'value="operator"[^>]* checked'),
    ),
    Case(
        "auth_user_change",
        {"first_name": "O\u202elga", "last_name": "Nova", "roles": ["viewer", "operator"], "is_active": "on"},
        "which is not shown as what it is",
        "",
        ('value="Nova"', 'value="operator"[^>]* checked'),
        of="operator",
    ),
    Case(
        "deployments_notificationchannel_add",
        {"name": "Team", "url": "carrier-pigeon://loft", "enabled": "on", "events": ["failed"]},
        "This is no address that Apprise understands.",
        "url",
        ('value="Team"', 'value="failed"[^>]* checked'),
    ),
    Case(
        "deployments_pushsource_add",
        {
            "name": "next",
            "kind": "gitea",
            "url": "https://git.example.org/a/b",
            "ref": "refs/heads/next",
            "read_token": "tökn",
        },
        "An access token has at most",
        "",
        ('value="https://git.example.org/a/b"', 'value="refs/heads/next"'),
    ),
)


def address(world: World, case: Case) -> str:
    """Of the form."""
    keys = {"production": world.production.pk, "operator": world.user("operator").pk}
    return reverse(f"admin:{case.page}", args=[keys[case.of]] if case.of else [])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.page)
def test_what_was_typed_is_still_there_and_the_field_is_named(case: Case, world: World) -> None:
    _prepare(world)
    sent = case.sent | ({"environment": world.test.pk} if case.page == "deployments_pushsource_add" else {})
    client = world.client("administrator")
    before = AuditEvent.objects.count()
    answer = client.post(address(world, case), sent)
    page = answer.content.decode()
    assert answer.status_code == case.status, page[:500]
    assert AuditEvent.objects.count() == before
    assert "a very secret value" not in page
    for text in case.kept:
        assert re.search(text, page), text
    row = re.search(rf"(?s)<div[^>]*\bfield-{case.about}\b.*?(?=<div[^>]*\bfield-row\b|</fieldset>|$)", page)
    place = row[0] if case.about and row else page
    assert case.words in place.replace("&#x27;", "'")
    assert 'href="/docs/troubleshooting/#ops-' in place
    assert "was changed successfully" not in page
    assert "was added successfully" not in page


def test_every_form_that_a_service_takes_is_among_them() -> None:
    forms = {
        f"{model._meta.label_lower.replace('.', '_')}_{what}"
        for model, site in admin.site._registry.items()
        if isinstance(site, PortalAdmin) and type(site).save_model is not PortalAdmin.save_model
        for what, verb in (("add", site.add_verb), ("change", site.change_verb))
        if verb is not None
    }
    tried = {case.page.replace("settings", "change") for case in CASES}
    by_the_same_service = {"deployments_notificationchannel_change"}
    refused_by_their_models = {"deployments_environment_add", "dashboard_statuspage_change"}
    assert forms - tried - by_the_same_service - refused_by_their_models - {"deployments_workflowbinding_add"} == set()


def _prepare(world: World) -> None:
    Secret.objects.create(environment=world.production, name="room-password", version=1, value="a very secret value")


def test_a_private_key_that_was_pasted_for_a_public_one_is_not_shown_again(world: World) -> None:
    sent = {
        "name": "laptop",
        "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nabcsecret\n-----END OPENSSH PRIVATE KEY-----",
    }
    answer = world.client("administrator").post(reverse("admin:deployments_signingkey_add"), sent)
    said = answer.content.decode()
    assert "That is the private key" in said
    assert "abcsecret" not in said
    assert 'value="laptop"' in said


@pytest.mark.parametrize(
    "typed", ["https://bob:s3cr3t-w0rd@git.example.org/a/b", "https://s3cr3t-w0rd@git.example.org/a/b.git"]
)
def test_a_password_in_the_address_of_a_repository_is_refused_and_not_shown_again(world: World, typed: str) -> None:
    sent = {"name": "next", "kind": "gitea", "url": typed, "ref": "refs/heads/next", "environment": world.test.pk}
    page = world.client("administrator").post(reverse("admin:deployments_pushsource_add"), sent).content.decode()
    assert "without user and password" in page
    assert "s3cr3t-w0rd" not in page
    assert re.search(r'value="https://…@git.example.org/a/b(\.git)?"', page)


def test_a_sentence_that_names_what_was_typed_names_no_password(world: World) -> None:
    sent = {"name": "test-9", "host": "https://bob:s3cr3t-w0rd@host.example", "port": 22, "roles": ["bot"]}
    sent |= {"environment": world.test.pk, "jump": "ssh://bob:s3cr3t-w0rd@jump.example"}
    page = world.client("administrator").post(reverse("admin:deployments_server_add"), sent).content.decode()
    assert "…@host.example" in page
    assert "s3cr3t-w0rd" not in page


def test_every_form_of_the_control_room_takes_credentials_out_of_what_it_shows_again() -> None:
    for model, site in admin.site._registry.items():
        if isinstance(site, PortalAdmin) and (site.add_verb or site.change_verb):
            assert issubclass(site.form, ModelForm), model
