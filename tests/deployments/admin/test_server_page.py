"""A server's page speaks in words, says what comes next, and offers what this person may do where they look."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from alerting.models import Alert
from deployments.environments.locks import lock_environment
from deployments.models import AuditEvent, Environment, Server
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

FACTS = {
    "os": "Debian GNU/Linux 12 (bookworm)",
    "python": "3.11.2",
    "memory": 4109205504,
    "cpus": 2,
    "disk": {"free": 83956723712, "total": 105089261568},
    "clock": 1795965763.8382566,
    "time_synchronised": True,
    "address": ["192.0.2.7"],
}


def page(world: World, who: str, server: Server) -> str:
    answer = world.client(who).get(reverse("admin:deployments_server_change", args=[server.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def offered(text: str) -> set[str]:
    """The actions of a page, as links or as buttons that do it at once."""
    return set(re.findall(r'(?:href|action)="/admin/deployments/server/\d+/([a-z-]+)/"', text)) - {"change"}


@pytest.fixture
def running(world: World) -> Server:
    """Production's, with something that differs."""
    world.succeeded(world.releases[0])
    Server.objects.filter(pk=world.servers["production"].pk).update(
        facts=FACTS,
        drift={
            "differences": ["One file differs.", "A drop-in changes a unit."],
            "accepted": ["One file differs."],
            "files": [["dice/roll.py", "content"], ["dice/gone.py", "missing"], ["x", "mode 0644"]],
            "disk": {"free": 1073741824, "total": 2147483648},
        },
        inspected_at=timezone.now(),
        unit_files={"dice-bot.service": "d" * 64},
        readiness={"ready": True, "target": "x", "sentence": "It lies there whole.", "seconds": 4.2},
    )
    return Server.objects.get(pk=world.servers["production"].pk)


def test_what_was_found_is_told_in_words(world: World, running: Server) -> None:
    said = text_of(page(world, "viewer", running))
    for words in (
        "Debian GNU/Linux 12 (bookworm)",
        "78.2 GB free of 97.9 GB",
        "Clock synchronised",
        "Rollback ready It lies there whole.",
        "A drop-in changes a unit.",
        "changed dice/roll.py removed dice/gone.py changed x mode 0644",
        "1.0 GB free of 2.0 GB, just now",
        "Jump host none",
        "0 (canary)",
        "So far: no operation from this page (restart, stop, command), no secrets.",
        "1 accepted",
        "dice-bot.service dddddddddddd",
    ):
        assert words in said, words
    for raw in ("83956723712", "1795965763", "None", "True", "{", "['", "T00:00", "4.2"):
        assert raw not in said, raw


def test_its_bot_and_its_alerts_stand_under_its_name(world: World, running: Server) -> None:
    for server in Server.objects.all():
        Alert.objects.create(
            fingerprint=server.name,
            name="DiskFull",
            severity="warning",
            server=server,
            status=Alert.Status.FIRING,
            annotations={"summary": f"The disk of {server} is full."},
            starts_at=timezone.now(),
        )
    told = text_of(page(world, "viewer", running))
    assert f"{running} Never heard from" in told
    assert f"The disk of {running} is full. warning, needs action" in told
    assert told.count("The disk of") == 1


def test_whoever_puts_it_back_reads_first_which_files_differ(world: World, running: Server) -> None:
    for slug in ("put_back", "accept_drift"):
        there = reverse(f"admin:deployments_server_{slug}", args=[running.pk])
        said = text_of(world.client("operator").get(there).content.decode())
        assert "dice/roll.py (changed), dice/gone.py (removed), x (mode 0644)." in said, slug


def test_what_harms_stands_last_among_the_actions(world: World, running: Server) -> None:
    bar = page(world, "operator", running).partition('aria-label="Actions"')[2].partition("</nav>")[0]
    assert re.findall(r"</span>([^<]+)</", bar)[-1] == "Stop"
    assert "cy-good" not in bar


def installed(page: str) -> str:
    """What the page says of its machine."""
    found = re.search(r'<section [^>]*aria-labelledby="cy-installed".*?</section>', page, re.DOTALL)
    assert found is not None
    return text_of(found[0])


def beside(server: Server, name: str, application: str, **changes: Any) -> Server:
    """The server of another application on its machine."""
    home = Environment.objects.create(name="live", application=application, order=9)
    place = {"host": server.host, "port": server.port, "host_key": server.host_key, "user": f"{application}-deploy"}
    return Server.objects.create(
        name=name, environment=home, roles=["bot"], fingerprint=server.fingerprint, **(place | changes)
    )


def test_what_is_installed_on_its_machine_is_told_whatever_address_it_is_called_by(
    world: World, running: Server
) -> None:
    Server.objects.exclude(pk=running.pk).update(host_key="of another machine")
    Environment.objects.filter(pk=running.environment_id).update(application="dice-bot")
    alone = installed(page(world, "viewer", running))
    assert f"dice-bot {running}, this one in production" in alone
    assert "of its own" not in alone
    by_address = beside(running, "tea-1", "tea", host_key="another")
    by_key = beside(running, "shop-1", "shop", host="192.0.2.99")
    gone = beside(running, "gone-1", "gone", state=Server.State.RETIRED)
    elsewhere = beside(running, "far-1", "far", host="192.0.2.98", host_key="another")
    both = page(world, "viewer", running)
    said = installed(both)
    assert f"shop {by_key} in live nothing yet shop-deploy tea {by_address} in live nothing yet tea-deploy" in said
    assert reverse("admin:deployments_server_change", args=[by_key.pk]) in both
    assert str(gone) not in said
    assert str(elsewhere) not in said
    assert f"dice-bot {running} in production" in installed(page(world, "viewer", by_key))
    of_the_retired = installed(page(world, "viewer", gone))
    assert f"{running} in production" in of_the_retired
    assert "this one" not in of_the_retired


@pytest.mark.parametrize(
    "facts",
    [
        {"disk": "x", "memory": [1], "os": {"a": 1}, "cpus": True, "time_synchronised": "yes"},
        {"disk": {"free": -1, "total": 10**40}, "memory": None, "os": 7, "cpus": "2"},
    ],
)
def test_what_a_server_says_of_itself_breaks_nothing(facts: dict[str, Any], world: World, running: Server) -> None:
    Server.objects.filter(pk=running.pk).update(facts=facts)
    assert "no look at the machine (provisioning does)" in page(world, "viewer", running)


def test_what_may_be_done_about_it_stands_there_for_those_who_may(world: World, running: Server) -> None:
    assert offered(page(world, "viewer", running)) == set()
    operator = offered(page(world, "operator", running))
    assert {"verify", "drift", "put-back", "accept-drift", "restart", "stop"} <= operator
    assert not {"provision", "decommission", "restore-data"} & operator
    assert {"provision", "decommission"} <= offered(page(world, "administrator", running))


def test_a_look_is_one_click_and_its_refusal_a_sentence(world: World, running: Server) -> None:
    text = page(world, "operator", running)
    for slug in ("verify", "drift"):
        address = reverse(f"admin:deployments_server_{slug}", args=[running.pk])
        assert f'<form method="post" action="{address}">' in text
        answer = world.client("operator").post(address)
        assert answer.status_code == 502
        assert "production has no SSH key yet" in text_of(answer.content.decode())
        assert world.client("viewer").post(address).status_code == 403


def test_nothing_is_compared_where_nothing_runs(world: World) -> None:
    server = world.servers["production"]
    assert not {"verify", "drift"} & offered(page(world, "operator", server))
    answer = world.client("operator").post(reverse("admin:deployments_server_drift", args=[server.pk]))
    assert answer.status_code == 409
    assert not AuditEvent.objects.filter(name__startswith="server.drift").exists()


def test_an_enrolled_server_says_who_makes_it_ready(world: World) -> None:
    server = world.servers["production"]
    Server.objects.filter(pk=server.pk).update(state=Server.State.ENROLLED)
    address = reverse("admin:deployments_server_provision", args=[server.pk])
    page_of_administrator = page(world, "administrator", server)
    assert page_of_administrator.count(address) == 1, "once, as the next step"
    assert "Provision it" in page_of_administrator
    said = page(world, "viewer", server)
    assert address not in said
    assert f"An administrator does that here, or by manage.py provision {server}" in said


def test_a_ready_server_offers_the_first_deployment_where_one_is_taken(world: World) -> None:
    server = world.servers["production"]
    address = reverse("admin:deployments_environment_request", args=[world.production.pk])
    assert address in page(world, "operator", server)
    assert address not in page(world, "viewer", server)
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    assert address not in page(world, "operator", server)


def test_the_page_costs_the_same_after_years(world: World, running: Server) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            page(world, "operator", running)
        return len(seen)

    queries()
    few = queries()
    for _ in range(6):
        world.succeeded(world.releases[0])
    assert queries() == few
