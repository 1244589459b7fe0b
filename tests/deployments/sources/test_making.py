"""Push sources are made in the control room and by the command; their secret is shown once, and pushes are listed."""

import json
import re
from typing import Any

import pytest
from django.urls import reverse

from deployments.models import AuditEvent, Push, PushSource
from deployments.sources.registry import make_source
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
URL = "https://github.com/acme/dice.git"
ADD = reverse("admin:deployments_pushsource_add")


def form(world: World, **changes: str) -> dict[str, Any]:
    home = world.test.pk
    given = {"name": "dice", "kind": "github", "url": URL, "ref": "refs/heads/main", "environment": home}
    return {**given, "read_token": "", **changes}


def pushed(source: PushSource, **more: Any) -> Push:
    about = {"number": "1", "digest": "d", "ref": "refs/heads/main", "commit": "a" * 40, "state": Push.State.FAILED}
    return Push.objects.create(source=source, **{**about, "sentence": "It cannot be built. [ops-bad-unit]", **more})


def test_a_page_makes_one_and_shows_its_secret_once(world: World) -> None:
    client = world.client("administrator")
    assert client.get(ADD).status_code == 200
    answer = client.post(ADD, form(world, read_token="only-for-reading"))
    source = PushSource.objects.get()
    secret = str.__str__(source.secret)
    page = answer.content.decode()
    assert secret in page
    assert "/api/v1/push/dice" in page
    assert "no-store" in answer["Cache-Control"]
    assert str.__str__(source.access_token) == "only-for-reading"
    again = client.get(reverse("admin:deployments_pushsource_change", args=[source.pk])).content.decode()
    assert secret not in again
    assert "only-for-reading" not in again
    assert "/api/v1/push/dice" in again
    said = json.dumps([event.data for event in AuditEvent.objects.filter(subject="source:dice")])
    assert URL in said
    assert secret not in said


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_others_than_administrators_make_none(world: World, who: str) -> None:
    assert world.client(who).post(ADD, form(world)).status_code in (302, 403)
    assert not PushSource.objects.exists()


def test_what_is_refused_stays_typed_and_says_why(world: World) -> None:
    page = world.client("administrator").post(ADD, form(world, url="git@github.com:acme/dice.git")).content.decode()
    assert "Write https://HOST/OWNER/NAME.git" in page
    assert 'value="git@github.com:acme/dice.git"' in page
    assert not PushSource.objects.exists()


def test_a_page_ends_one_and_lists_what_was_pushed(world: World) -> None:
    client = world.client("administrator")
    source = make_source(
        actor=world.people["administrator"],
        environment=world.test, name="dice", kind="gitea", url=URL, ref="refs/heads/main",
    )  # fmt: skip
    push = pushed(source)
    listed = client.get(reverse("admin:deployments_push_changelist"), {"source__id__exact": source.pk})
    assert "It cannot be built." in listed.content.decode()
    assert client.get(reverse("admin:deployments_push_change", args=[push.pk])).status_code == 200
    client.post(reverse("admin:deployments_pushsource_end", args=[source.pk]))
    source.refresh_from_db()
    assert source.ended_at is not None


def test_the_command_does_the_same(world: World) -> None:
    made = ["--url", URL, "--kind", "gitlab", "--ref", "refs/tags/v*", "--environment", "test"]
    code, said = world.command("shell", "sources", "add", "dice", *made)
    assert code == 0, said
    document = json.loads(said)
    source = PushSource.objects.get()
    assert document["secret"] == str.__str__(source.secret)
    assert document["address"].endswith("/api/v1/push/dice")
    pushed(source)
    listed = json.loads(world.command("viewer", "sources")[1])["sources"]
    assert [(row["source"], row["ref"]) for row in listed] == [("dice", "refs/tags/v*")]
    assert "secret" not in listed[0]
    (row,) = json.loads(world.command("viewer", "sources", "pushes", "dice")[1])["pushes"]
    assert (row["state"], row["release"]) == ("failed", None)
    assert world.command("shell", "sources", "end", "dice")[0] == 0
    assert json.loads(world.command("viewer", "sources", "list", "dice")[1])["sources"][0]["ended_at"]
    code, said = world.command("viewer", "sources", "end", "nobody")
    assert json.loads(said)["error"] == "unknown_push_source"


def test_the_shell_alone_lets_nothing_follow_into_a_protected_environment(world: World) -> None:
    code, said = world.command("shell", "sources", "add", "dice", "--url", URL, "--environment", "production")
    assert (code, json.loads(said)["error"]) == (1, "not_allowed")


def test_a_token_is_read_from_a_file(world: World, tmp_path: Any) -> None:
    missing = ["--environment", "test", "--url", URL, "--access-token-file", tmp_path / "none"]
    code, said = world.command("shell", "sources", "add", "dice", *missing)
    assert code == 2
    assert re.search("cannot be read", said)
