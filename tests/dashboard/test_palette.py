"""The palette offers where a person may go and what they may do, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from deployments.models import Environment, Release, Server

pytestmark = pytest.mark.django_db


def found(role: str, words: str) -> dict[str, list[str]]:
    """What somebody of that role is offered: titles by kind. Every link that is offered leads somewhere."""
    client = Client()
    user, made = User.objects.get_or_create(username=f"the-{role}", is_staff=True)
    if made:
        user.groups.set(Group.objects.filter(name=role))
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    offered: dict[str, list[str]] = {}
    for entry in client.get("/palette", {"q": words}).json()["entries"]:
        offered.setdefault(entry["kind"], []).append(entry["title"])
        if not entry["link"].endswith("/journal/"):  # which asks the server
            assert client.get(entry["link"], follow=True).status_code == 200, entry
    return offered


@pytest.fixture
def running(make_release: Callable[[str], Release], ready_server: Callable[[Environment], Server]) -> Server:
    server = ready_server(Environment.objects.get(name="test"))
    Server.objects.filter(pk=server.pk).update(current_release=make_release("1.0.0"))
    return server


def test_a_server_is_found_with_what_may_be_done_to_it_by_role(running: Server) -> None:
    as_operator, as_viewer = found("operator", "test-1"), found("viewer", "test-1")
    assert as_operator["Server"] == as_viewer["Server"] == ["test-1"]
    assert as_viewer["Page"] == ["Journal of test-1"]
    assert "Restart · test-1" in as_operator["Action"]
    assert "Action" not in as_viewer


def test_an_action_is_found_by_its_name_alone(running: Server) -> None:
    assert found("operator", "restart")["Action"] == ["Restart · test-1"]
    assert found("viewer", "restart") == {}


def test_what_may_be_added_is_found(running: Server) -> None:
    assert "Add a server" in found("administrator", "add server")["Action"]
    assert found("administrator", "invite")["Action"] == ["Add and invite a person"]
    assert found("viewer", "add server") == {}
    assert found("operator", "invite") == {}


def test_pages_are_those_of_ones_role(running: Server) -> None:
    assert "People" not in found("operator", "queue").get("Machinery", [])
    assert found("administrator", "failed tasks") == {"Machinery": ["Failed tasks"]}
    assert found("viewer", "failed tasks") == {}


def test_releases_and_numbers_are_found(running: Server) -> None:
    assert found("viewer", "1.0.0")["Release"] == [Release.objects.get().identifier]
    assert found("viewer", "#99999999999999") == {}


@pytest.mark.parametrize("words", ["\x00", "' OR 1=1", "%", "x" * 5000, "９"])
def test_any_words_are_answered(running: Server, words: str) -> None:
    found("viewer", words)


def test_strangers_are_sent_to_the_door(db: Any) -> None:
    assert Client().get("/palette").status_code == 302
