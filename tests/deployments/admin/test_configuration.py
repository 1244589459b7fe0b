"""The form of an environment's configuration: what would erase or break it is refused, with its line."""

import pytest
from django.urls import reverse

from deployments.environments.settings import configure_environment
from deployments.models import AuditEvent
from tests.deployments.world import World

BEFORE = {"dice.json": {"sides": 12}}


@pytest.fixture
def configured(world: World) -> World:
    configure_environment(
        actor=world.people["administrator"], environment=world.production, changes={"configuration": BEFORE}
    )
    return world


def sent(world: World, text: str) -> str:
    """What the page says after this was sent."""
    address = reverse("admin:deployments_environment_change", args=[world.production.pk])
    fields = {"configuration": text, "bake_seconds": 300, "bake_action": "rollback", "order": 1}
    fields |= {"batch": 1}
    return world.client("administrator").post(address, fields, follow=True).content.decode()


@pytest.mark.parametrize("text", ["", "   \n", "[]", "null", "0", "false", '""', "[[]]", '"{}"', "{} {}", "{"])
def test_what_is_no_table_of_files_erases_nothing(configured: World, text: str) -> None:
    said = sent(configured, text)
    assert configured.production.configuration == BEFORE
    assert "was changed successfully" not in said
    assert AuditEvent.objects.filter(name="environment.configured").count() == 1


def test_an_empty_field_says_how_to_take_everything_away(configured: World) -> None:
    assert "write {} to take every value away" in sent(configured, "")
    assert "was changed successfully" in sent(configured, "{}")
    assert configured.production.configuration == {}
    assert "was changed successfully" not in sent(configured, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{\n  "dice.json": {"sides": 6},\n  "dise.json": {"sides": 6}\n}',
            "Line 3: The release 1.1.0 has no configuration file dise.json",
        ),
        ('{\n "dice.json": {\n  "room": "x",\n  "sides": "six"\n }\n}', "Line 4: dice.json: sides must be a number"),
        ('{\n "dice.json": {\n  "room": {"name": "x"}\n }\n}', "Line 3: dice.json: room must be a text"),
        ('{\n "dice.json": {\n  "sides": true\n }\n}', "Line 3: dice.json: sides must be a number"),
        ('{\n "dice.json": 3\n}', "Line 2: The configuration is a table of files"),
        ('{\n "dice.json": {"sides": 6,\n  "sides": 8}\n}', "Line 3: the key &#x27;sides&#x27; is there twice"),
        ('{\n "dice.json": {"sides": NaN}\n}', "NaN is no JSON number"),
        ('{\n "dice.json": {"sides": 6}\n', "Line 3"),
    ],
)
def test_what_the_release_could_not_use_is_named_with_its_line(configured: World, text: str, words: str) -> None:
    said = sent(configured, text)
    assert words in said
    assert configured.production.configuration == BEFORE


def test_what_the_release_can_use_is_taken(configured: World) -> None:
    assert "was changed successfully" in sent(configured, '{"dice.json": {"sides": 8.5, "more": [1, {"x": null}]}}')
    assert configured.production.configuration == {"dice.json": {"sides": 8.5, "more": [1, {"x": None}]}}
