"""The lists of the control room: what they are called, and what can be begun there."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from alerting.models import Alert
from deployments.audit.verification import verify
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, NotificationChannel, Server
from tests.deployments.world import World

LISTS = {
    # address, heading, what an administrator can begin there
    "auth_user": ("People", "Add and invite a person"),
    "deployments_server": ("Servers", "Add a server"),
    "deployments_environment": ("Environments", "Add an environment"),
    "deployments_apitoken": ("API tokens", "Make an API token"),
    "deployments_notificationchannel": ("Channels", "Add a channel"),
    "deployments_auditevent": ("Audit trail", ""),
}


def page(world: World, who: str, name: str) -> str:
    """A list as somebody sees it."""
    answer = world.client(who).get(reverse(f"admin:{name}_changelist"))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_a_lists_title_in_the_browser_is_its_heading(world: World, name: str) -> None:
    shown = page(world, "administrator", name)
    heading = re.search(r"<h1[^>]*>([^<]+)</h1>", shown)
    title = re.search(r"<title>\s*([^<·]+) ·", shown)
    assert heading is not None
    assert title is not None
    assert heading[1] == title[1].strip() == LISTS[name][0]


@pytest.mark.parametrize("name", [name for name, (_, label) in LISTS.items() if label])
def test_a_list_with_rows_has_the_way_to_one_more_for_those_who_may(world: World, name: str) -> None:
    NotificationChannel.objects.create(name="room", url="json://localhost", events=[])
    add, label = reverse(f"admin:{name}_add"), LISTS[name][1]
    shown = page(world, "administrator", name)
    assert 'id="result_list"' in shown or name == "deployments_apitoken"
    assert re.search(rf'<a class="cy-button cy-good" href="{add}">\s*{label}\s*</a>', shown), label
    if name not in {"deployments_apitoken"}:  # everybody has tokens of their own
        assert f'href="{add}"' not in page(world, "viewer", name)
    form = world.client("administrator").get(add).content.decode()
    title = re.search(r"<title>\s*([^<·]+) ·", form)
    heading = re.search(r"<h1[^>]*>([^<]+)</h1>", form)
    assert heading is not None
    assert title is not None
    assert heading[1] == title[1].strip()


def test_a_list_on_one_page_has_no_bar_that_counts_it(world: World) -> None:
    assert "cy-pages" not in page(world, "administrator", "deployments_server")


def test_what_is_not_there_is_told_in_a_sentence_on_the_list(world: World) -> None:
    for name, said in (("policychange", "There is no policy change 999:"), ("server", "There is no server 999:")):
        there = reverse(f"admin:deployments_{name}_changelist")
        answer = world.client("administrator").get(reverse(f"admin:deployments_{name}_change", args=[999]), follow=True)
        assert answer.redirect_chain[-1][0] == there
        assert said in answer.content.decode()


def test_who_may_not_see_a_list_is_told_the_role_and_led_back(world: World) -> None:
    answer = world.client("viewer").get(reverse("admin:django_q_ormq_changelist"))
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "This takes the role administrator" in page
    assert f'href="{reverse("admin:index")}"' in page


def test_the_menu_holds_silences_maintenance_and_validations_and_the_queue_for_administrators(world: World) -> None:
    for who in ("viewer", "administrator"):
        menu = page(world, who, "deployments_server")
        for name in ("silences", "maintenance", "validations"):
            assert f'<a href="{reverse(name)}"' in menu, name
        assert ('aria-label="Machinery"' in menu) == (who == "administrator") or "Workers" in menu
        assert ("Failed tasks" in menu) == (who == "administrator")


def test_a_persons_form_speaks_our_words(world: World) -> None:
    client, person = world.client("administrator"), world.user("viewer")
    for address in (reverse("admin:auth_user_add"), reverse("admin:auth_user_change", args=[person.pk])):
        form = client.get(address).content.decode()
        for foreign in ("Designates whether", "150 characters or fewer", "Save and add another"):
            assert foreign not in form, foreign


def test_a_wrong_password_is_told_in_our_words(world: World) -> None:
    given = {"username": "administrator", "password": "wrong"}
    page = Client().post(reverse("admin:login"), given).content.decode()
    assert "do not belong together" in page
    assert "staff account" not in page


def test_no_two_pages_of_the_bar_have_one_name_and_all_is_the_list_that_people_read(world: World) -> None:
    world.succeeded(world.releases[0])
    shown = world.client("superuser").get(reverse("admin:index")).content.decode()
    bar = shown.partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
    links = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)', bar)
    named: dict[str, set[str]] = {}
    for address, title in links:
        named.setdefault(title.strip(), set()).add(address)
    assert {title for title, addresses in named.items() if len(addresses) > 1} == set()
    assert named["Deployments"] == {reverse("deployments")}
    for name, key in (("environment", world.production.pk), ("server", world.servers["production"].pk)):
        page_of = world.client("viewer").get(reverse(f"admin:deployments_{name}_change", args=[key])).content.decode()
        assert f'href="{reverse("deployments")}?environment=production">All<' in page_of


def test_a_servers_row_says_how_its_service_is_what_fires_what_differs_and_what_waits(world: World) -> None:
    world.succeeded(world.releases[0])
    waits = world.request()
    server = world.servers["production"]
    Server.objects.filter(pk=server.pk).update(
        drift={"differences": ["One file differs.", "A unit differs."]}, inspected_at=timezone.now()
    )
    alert = Alert.objects.create(
        fingerprint="x", name="DiskFull", severity="critical", server=server, status="firing", starts_at=timezone.now()
    )
    shown = page(world, "viewer", "deployments_server")
    row = next(row for row in re.findall(r"(?s)<tr.*?</tr>", shown) if f">{server}</a>" in row)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row))
    for said in ("Never heard from", "Disk full", "differs, 2 things", f"#{waits.pk} waits", world.releases[0].version):
        assert said in words, said
    for where in (
        reverse("bot", args=[server.name]),
        reverse("alert", args=[alert.pk]),
        reverse("deployment", args=[waits.pk]),
        reverse("admin:deployments_environment_change", args=[world.production.pk]),
        reverse("admin:deployments_release_change", args=[world.releases[0].pk]),
    ):
        assert f'href="{where}"' in row, where


def test_the_list_of_servers_costs_the_same_for_two_and_for_many(world: World) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            page(world, "viewer", "deployments_server")
        return len(seen)

    world.succeeded(world.releases[0])
    queries()
    few = queries()
    template = world.servers["production"]
    for number in range(5):
        Server.objects.create(
            name=f"more-{number}",
            environment=template.environment,
            host=f"more-{number}.invalid",
            host_key=template.host_key,
            fingerprint=template.fingerprint,
            roles=["bot"],
            state=Server.State.PROVISIONED,
            current_release=world.releases[0],
        )
    assert queries() == few


def test_an_events_row_names_its_moment_and_leads_to_what_it_is_about(world: World) -> None:
    row = world.request(reason="people asked")
    shown = page(world, "viewer", "deployments_auditevent")
    event = AuditEvent.objects.get(name="deployment.requested")
    assert f'<a href="/deployments/{row.pk}/">deployment #{row.pk} of {row.release.version}</a>' in shown
    assert f"{event.at:%-d %b %H:%M:%S}</time>" in shown
    assert f'href="{reverse("admin:deployments_auditevent_change", args=[event.pk])}"' in shown
    assert "Not verified yet" in shown
    verify(actor=world.people["administrator"])
    assert "Chain whole" in page(world, "viewer", "deployments_auditevent")


def test_what_is_next_for_a_release_is_where_it_neither_runs_nor_ran(world: World) -> None:
    def offered() -> list[str]:
        rows = re.findall(r"(?s)<tr.*?</tr>", page(world, "operator", "deployments_release"))
        found = (re.search(r'cy-row-action" href="[^"]*">([^<]*)<', row) for row in rows)
        return [link[1] if link else "" for link in found]

    first = Environment.objects.filter(retired_at=None).first()
    assert first is not None
    assert f"Deploy to {first}" in offered()
    failed = world.succeeded(world.releases[-1], first.name)
    Deployment.objects.filter(pk=failed.pk).update(status=Status.ROLLED_BACK)
    Server.objects.update(current_release=None)
    assert offered().count(f"Deploy to {first} again") == 1
    Deployment.objects.filter(pk=failed.pk).update(status=Status.SUCCEEDED)
    assert f"Deploy to {first} again" not in offered()
    assert offered().count(f"Deploy to {first}") == len(world.releases) - 1, "what ran there is no next step"
