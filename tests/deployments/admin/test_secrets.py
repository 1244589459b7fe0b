"""Secrets in the browser: set, never shown, in no address, log, event or refused form."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.urls import reverse

from deployments.models import AuditEvent, Secret, Server
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World
from tests.fixtures.records import EXAMPLE, stored

VALUE = "correct horse\nbattery <staple> \"&'"
AS_BROWSERS_SEND_IT = VALUE.replace("\n", "\r\n") + "\r\n"


@pytest.fixture
def unreached(world: World) -> World:
    """No server takes anything yet."""
    Server.objects.update(state=Server.State.ENROLLED)
    return world


def address(world: World) -> str:
    return reverse("admin:deployments_environment_secret", args=[world.production.pk])


def test_a_secret_is_set_as_the_command_sets_it(unreached: World) -> None:
    client = unreached.client("administrator")
    done = client.post(address(unreached), {"name": "dice-token", "value": AS_BROWSERS_SEND_IT}, follow=True)
    assert "dice-token is version 1. No server is provisioned yet." in text_of(done.content.decode())
    stored = Secret.objects.get()
    assert str(stored.value) == VALUE, "as a file of these lines gives it on standard input"
    assert stored.created_by == "administrator"
    event = AuditEvent.objects.get(name="secret.set")
    assert (event.actor, event.subject, event.data) == (
        "administrator",
        "secret:production/dice-token",
        {"version": 1},
    )


def test_another_value_is_the_next_version_and_the_page_says_so(unreached: World) -> None:
    client = unreached.client("administrator")
    for value in ("first", "second", "second"):
        client.post(address(unreached), {"name": "dice-token", "value": value})
    assert list(Secret.objects.order_by("version").values_list("version", flat=True)) == [1, 2]
    page = client.get(f"{address(unreached)}?name=dice-token").content.decode()
    assert 'value="dice-token"' in page
    assert "just now by administrator" in text_of(page)
    assert "Rotate dice-token" in text_of(page)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"name": "Dice Token", "value": VALUE}, "is lower-case letters, digits and hyphens"),
        ({"name": "", "value": VALUE}, "This field is required"),
        ({"name": "dice-token", "value": ""}, "This field is required"),
        ({"name": "dice-token", "value": "\r\n"}, "1 byte to 64 KiB"),
        ({"name": "dice-token", "value": VALUE * 4000}, "1 byte to 64 KiB"),
    ],
)
def test_a_refused_form_keeps_all_but_the_value_and_names_the_field(
    sent: dict[str, str], said: str, unreached: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = unreached.client("administrator").post(address(unreached), sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert f'value="{sent["name"]}"' in page or not sent["name"]
    for shown in ("battery", "horse"):
        assert shown not in page
        assert shown not in caplog.text
    assert not Secret.objects.exists()


def test_a_server_that_does_not_answer_is_named_and_no_value_is(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = world.client("administrator").post(address(world), {"name": "dice-token", "value": VALUE})
    assert answer.status_code == 502
    page = answer.content.decode()
    assert "dice-token version 1 is stored but did not reach production-1" in page
    assert "Set the same value again" in page
    events = json.dumps(list(AuditEvent.objects.values()), cls=DjangoJSONEncoder)
    assert "dice-token" in page
    for kept in (page, caplog.text, events):
        assert "battery" not in kept


def test_only_what_can_be_tried_is_offered_to_be_tried(world: World, tmp_path: Path) -> None:
    def offered() -> bool:
        return 'name="tried"' in world.client("administrator").get(address(world)).content.decode()

    world.succeeded(world.releases[0])
    assert not offered(), "what is live has no login command"
    tree = tmp_path / "tree"
    shutil.copytree(EXAMPLE, tree)
    (tree / "VERSION").write_text("2.0.0\n")
    described = (tree / "deploy.toml").read_text()
    login = 'secrets = ["dice-token"]\nlogin = ["python", "-m", "dicebot", "--check"]\ncheck ='
    (tree / "deploy.toml").write_text(described.replace("check =", login, 1))
    Secret.objects.create(environment=world.production, name="dice-token", version=1, value="x", created_by="tests")
    world.succeeded(stored(build_artifact(tree, None, DirectoryWheels(tree), tmp_path)))
    assert offered()


def test_what_the_release_needs_and_nobody_has_set_is_named(unreached: World, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(EXAMPLE, tree)
    (tree / "VERSION").write_text("2.0.0\n")
    described = (tree / "deploy.toml").read_text()
    (tree / "deploy.toml").write_text(
        described.replace("check =", 'secrets = ["dice-token", "portal-token"]\ncheck =', 1)
    )
    stored(build_artifact(tree, None, DirectoryWheels(tree), tmp_path))
    page = text_of(unreached.client("administrator").get(address(unreached)).content.decode())
    assert "dice-token Not set the release needs it" in page
    assert "portal-token" not in page, "provisioning makes it"


def test_what_provisioning_makes_for_a_server_nobody_sets(unreached: World) -> None:
    client = unreached.client("administrator")
    page = text_of(client.post(address(unreached), {"name": "portal-token", "value": VALUE}).content.decode())
    assert "portal-token is made for each server by its provisioning" in page
    assert not Secret.objects.exists()
    Server.objects.filter(environment=unreached.production).update(roles=["web"])
    client.post(address(unreached), {"name": "portal-token", "value": VALUE})
    assert Secret.objects.get().name == "portal-token", "whose servers are no bots has none of the portal's"


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_whoever_may_not_is_told_before_typing(who: str, unreached: World) -> None:
    client = unreached.client(who)
    change = client.get(reverse("admin:deployments_environment_change", args=[unreached.production.pk]))
    assert address(unreached) not in change.content.decode()
    answer = client.get(address(unreached))
    assert answer.status_code == 403
    assert "may not set secret" in answer.content.decode()
    assert 'name="value"' not in answer.content.decode()
