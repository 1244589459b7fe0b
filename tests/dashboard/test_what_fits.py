"""What is offered about a service fits its state, alike on every page; a runbook's commands are ways there."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from deployments.management.commands.status import Command
from deployments.models import Environment, Operation, Server
from deployments.operations.selectors import fitting
from deployments.operations.status import Standing, UnitStatus
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db
Stands = Callable[[Server], Any]
ALL = ["start", "restart", "stop"]


def halt(server: Server) -> None:
    """Somebody stopped it by the portal."""
    server.stopped = {"units": ["bot.service"], "by": "olga", "reason": "why", "bot": True}
    server.save()


def halt_and_hear(server: Server) -> None:
    """And its bot speaks all the same."""
    halt(server)
    records.beat(server)


STATES: dict[str, tuple[Stands, list[str]]] = {
    "never heard": (lambda server: None, ALL),
    "in its room": (records.beat, ["restart", "stop"]),
    "out of its room": (lambda server: records.beat(server, connected=False), ["restart", "stop"]),
    "said goodbye": (lambda server: records.beat(server, goodbye=True), ["start", "restart"]),
    "silent": (lambda server: records.beat(server, 3600), ALL),
    "stopped by a person": (halt, ["start", "restart"]),
    "stopped, and heard since": (halt_and_hear, ALL),
}


@pytest.fixture
def running(make_release: Callable[[str], Any], ready_server: Callable[[Environment], Server]) -> Server:
    server = ready_server(Environment.objects.get(name="test"))
    Server.objects.filter(pk=server.pk).update(current_release=make_release("1.0.0"), roles=["bot"])
    return Server.objects.get(pk=server.pk)


@pytest.fixture
def as_role(make_person: MakePerson) -> Callable[[str], Client]:
    def as_role(role: str) -> Client:
        make_person(role, role)
        client = Client()
        client.force_login(User.objects.get(username=role), backend="django.contrib.auth.backends.ModelBackend")
        return client

    return as_role


def linked(page: str) -> list[str]:
    """The acts that a page leads to."""
    return sorted(set(re.findall(r"/deployments/server/\d+/(start|restart|stop)/", page)))


@pytest.mark.parametrize("state", STATES)
def test_every_page_and_the_palette_offer_what_fits(
    state: str, running: Server, as_role: Callable[[str], Client]
) -> None:
    stands, wanted = STATES[state]
    stands(running)
    client, server = as_role("operator"), Server.objects.get(pk=running.pk)
    alert = records.alert(server.environment, server=server, annotations={"runbook": "docs/runbook.md#botdisconnected"})
    assert [kind.value for kind in fitting(server)] == wanted
    pages = [
        reverse("bot", args=[server.name]),
        reverse("admin:deployments_server_change", args=[server.pk]),
        reverse("alert", args=[alert.pk]),
    ]
    for address in pages:
        assert linked(client.get(address).content.decode()) == sorted(wanted), address
    entries = client.get("/palette", {"q": server.name}).json()["entries"]
    assert linked(" ".join(entry["link"] for entry in entries)) == sorted(wanted)


def test_what_the_server_itself_said_stands_above_what_was_heard(running: Server) -> None:
    records.beat(running)
    assert fitting(running, asked=False) == [Operation.Kind.START, Operation.Kind.RESTART]


def test_the_command_line_says_how_what_does_not_run_is_started(running: Server) -> None:
    records.beat(running)

    def said(active: str, *, well: bool | None = False) -> str:
        told = StringIO()
        command = Command(stdout=told)
        command.as_json = False
        unit = UnitStatus("bot.service", active, "", 0, "")
        command.hint([Standing(running.name, well, "", units=[unit] if well is not None else [])])
        return told.getvalue()

    assert said("inactive") == "To start what does not run: ./manage.py start test --server test-1\n"
    assert said("failed") == said("inactive")
    assert said("active") == said("inactive", well=None) == ""


def runbook(client: Client, number: int) -> str:
    found = re.search(
        r'<div class="card document.*?</section>', client.get(f"/alerts/{number}/").content.decode(), re.S
    )
    assert found is not None
    return found[0]


def test_a_command_of_the_runbook_that_the_portal_can_run_leads_there(
    running: Server, as_role: Callable[[str], Client]
) -> None:
    records.beat(running, goodbye=True)
    alert = records.alert(running.environment, server=running, annotations={"runbook": "docs/runbook.md#botdown"})
    operator, viewer = as_role("operator"), as_role("viewer")
    start = f"/admin/deployments/server/{running.pk}/start/"
    verify = f"/admin/deployments/environment/{running.environment_id}/verify/"
    text = runbook(operator, alert.pk)
    assert f'<code>./manage.py start test</code> <a class="button quiet" href="{start}">' in text
    assert f'<code>./manage.py verify test</code> <a class="button quiet" href="{verify}">' in text
    assert "/roll-back/" not in text, "there is nothing to go back to"
    for address in re.findall(r'href="(/admin/[^"]+)"', text):
        assert operator.get(address).status_code == 200, address
    assert "/admin/" not in runbook(viewer, alert.pk)
    records.beat(running)
    assert "/start/" not in runbook(operator, alert.pk), "it runs"
