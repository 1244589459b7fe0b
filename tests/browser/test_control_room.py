"""The control room as people meet it: in a browser, light and dark, on a phone, by keyboard, while things change."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from deployments.environments.locks import lock_environment
from deployments.environments.policies import change_policy
from deployments.environments.settings import configure_environment
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, NotificationChannel
from deployments.requests.rollbacks import request_rollback
from tests.dashboard.browsing import Visitor, Visitors
from tests.deployments.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def portal(transactional_db: None, world: World, live_server: Any) -> str:
    """The address of a running portal with some history."""
    world.succeeded(world.releases[0], "test")
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1], "test")
    configure_environment(
        actor=world.people["administrator"],
        environment=world.production,
        changes={"configuration": {"dice.json": {"sides": 12}}},
    )
    change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="holidays",
    )
    request_rollback(actor=world.people["operator"], environment=world.test, reason="dice show a seven")
    lock_environment(actor=world.people["operator"], environment=world.test, reason="exams")
    return str(live_server.url)


def sign_in(visitor: Visitor, portal: str, who: str) -> None:
    """Without typing: the sign-in page has its own test."""
    client = Client()
    client.force_login(User.objects.get(username=who), backend="django.contrib.auth.backends.ModelBackend")
    visitor.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": portal}])


def pages(world: World) -> list[str]:
    """One page of every kind."""
    waiting = Deployment.objects.filter(status=Status.AWAITING_APPROVAL).latest("id")
    event = AuditEvent.objects.filter(name="environment.configured").latest("sequence")
    numbers = {"deployment": waiting.pk, "environment": waiting.environment_id, "event": event.pk}
    return [
        reverse("admin:index"),
        reverse("admin:deployments_deployment_changelist"),
        reverse("deployment", args=[numbers["deployment"]]),
        reverse("admin:deployments_deployment_approve", args=[numbers["deployment"]]),
        reverse("admin:deployments_deployment_reject", args=[numbers["deployment"]]),
        reverse("admin:deployments_environment_changelist"),
        reverse("admin:deployments_environment_change", args=[numbers["environment"]]),
        reverse("admin:deployments_environment_request", args=[numbers["environment"]]),
        reverse("admin:deployments_environment_roll_back", args=[numbers["environment"]]),
        reverse("admin:deployments_environment_policy", args=[numbers["environment"]]),
        reverse("admin:deployments_environment_settings", args=[numbers["environment"]]),
        reverse("admin:deployments_environment_secret", args=[numbers["environment"]]),
        reverse("admin:deployments_server_changelist"),
        reverse("admin:deployments_server_change", args=[world.servers["production"].pk]),
        reverse("admin:deployments_server_provision", args=[world.servers["production"].pk]),
        reverse("admin:deployments_server_add"),
        reverse("admin:deployments_release_changelist"),
        reverse("admin:deployments_release_change", args=[world.releases[0].pk]),
        reverse("admin:deployments_auditevent_changelist"),
        reverse("admin:deployments_auditevent_change", args=[numbers["event"]]),
        reverse("admin:deployments_auditevent_verify"),
        reverse("admin:deployments_policychange_changelist"),
        reverse("admin:deployments_apitoken_changelist"),
        reverse("admin:deployments_apitoken_add"),
        reverse("admin:deployments_workflowbinding_changelist"),
        reverse("admin:deployments_workflowbinding_add"),
        reverse("admin:account"),
        reverse("admin:deployments_notificationchannel_changelist"),
        reverse("admin:deployments_notificationchannel_add"),
        reverse("admin:auth_user_changelist"),
        reverse("admin:auth_user_change", args=[world.user("operator").pk]),
        reverse("admin:auth_user_add"),
        reverse("admin:password_change"),
        reverse("admin:dashboard_statuspage_change", args=[1]),
        reverse("admin:django_q_ormq_changelist"),
    ]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desktop", "light"),
        ("phone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.full),
        pytest.param("phone", "light", marks=pytest.mark.full),
    ],
)
def test_no_page_breaks_an_accessibility_rule_or_runs_sideways(
    visit: Visitors, portal: str, world: World, scheme: str, size: str
) -> None:
    world.request(break_glass=True)
    world.request()
    visitor = visit(scheme=scheme, size=size)
    visitor.page.goto(portal + reverse("admin:login"))
    found = {"/admin/login/": visitor.violations()}
    sign_in(visitor, portal, "superuser")
    wide = []
    for path in pages(world):
        visitor.page.goto(portal + path)
        visitor.settled()
        visitor.page.evaluate("document.querySelectorAll('details:not(.drop)').forEach(one => { one.open = true; })")
        found[path] = visitor.violations()
        if visitor.sideways() > 1:
            wide.append(path)
    visitor.page.goto(portal + reverse("admin:index"))
    visitor.page.evaluate("scrollTo(0, 0)")
    if size == "phone":
        visitor.page.locator("label.bar-menu").click()
    visitor.page.locator("summary", has_text="Control room").click()
    found["the menu"] = visitor.violations()
    broken = {path: lines for path, lines in found.items() if lines}
    assert broken == {}
    assert wide == []


def test_pages_that_one_may_only_read_keep_the_strict_policy(visit: Visitors, portal: str, world: World) -> None:
    channel = NotificationChannel.objects.create(name="ops", url="json://ops.invalid", events=["deployment.failed"])
    visitor = visit()
    sign_in(visitor, portal, "viewer")
    for path in (
        reverse("admin:deployments_environment_change", args=[world.production.pk]),
        reverse("admin:deployments_server_change", args=[world.servers["production"].pk]),
        reverse("admin:deployments_notificationchannel_change", args=[channel.pk]),
        reverse("admin:dashboard_statuspage_change", args=[1]),
    ):
        visitor.page.goto(portal + path)
        visitor.settled()
        assert visitor.violations() == [], path
        assert visitor.complaints() == [], path
        assert "ops.invalid" not in visitor.page.content()


def test_signing_in_out_and_by_keyboard(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(portal + reverse("admin:index"))
    page.wait_for_function("document.activeElement.id == 'id_username'")
    page.keyboard.type("operator")
    page.keyboard.press("Tab")
    page.keyboard.type("password of operator")
    page.keyboard.press("Enter")
    page.wait_for_url(portal + reverse("admin:index"))
    page.keyboard.press("Tab")
    assert "Skip to content" in page.evaluate("document.activeElement.textContent")
    page.locator("summary", has_text="operator").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Dark").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.documentElement.classList.contains('dark')")
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{portal}/")
    assert page.evaluate("document.documentElement.classList.contains('dark')"), "the choice holds on every page"
    page.goto(portal + reverse("admin:index"))
    assert page.url.startswith(portal + reverse("admin:login"))


def test_deciding_by_keyboard_alone(visit: Visitors, portal: str, world: World) -> None:
    row = world.request()
    visitor = visit()
    sign_in(visitor, portal, "approver")
    page = visitor.page
    page.goto(portal + reverse("admin:index"))
    page.get_by_role("link", name=f"Review and decide about deployment {row.pk}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deployment/{row.pk}/approve/")
    page.get_by_label("Comment").focus()
    page.keyboard.type("read it")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deployments/{row.pk}/")
    assert "it is queued" in page.inner_text("body")
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_the_menu_opens_on_a_phone(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit(size="phone")
    sign_in(visitor, portal, "viewer")
    page = visitor.page
    page.goto(portal + reverse("admin:index"))
    link = page.get_by_role("link", name="Audit trail")
    assert not link.is_visible()
    page.locator("label.bar-menu").click()
    page.locator("summary", has_text="Control room").click()
    link.click()
    page.wait_for_url("**/auditevent/")


def test_filters_and_ticked_rows_work_by_keyboard(visit: Visitors, portal: str, world: World) -> None:
    row = world.request()
    visitor = visit()
    sign_in(visitor, portal, "superuser")
    page = visitor.page
    page.goto(portal + reverse("admin:deployments_deployment_changelist"))
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Awaiting approval", exact=True).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("checkbox", name="Select record").first.focus()
    page.keyboard.press("Space")
    page.get_by_role("combobox", name="Select action to run").select_option(label="Cancel …")
    page.get_by_role("button", name="Go on").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url("**/deployment/")
    assert f"Deployment {row.pk} is cancelled" in page.inner_text("body")


def test_the_palette_leads_anywhere_by_keyboard_alone(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    sign_in(visitor, portal, "operator")
    page = visitor.page
    options = page.locator("dialog.palette").get_by_role("option")
    for start in (reverse("admin:index"), "/deployments/"):
        page.goto(portal + start)
        page.keyboard.press("/")
        options.first.wait_for()
        assert visitor.violations() == []
        page.keyboard.press("Escape")
        page.wait_for_function("!document.querySelector('dialog.palette').open")
    page.keyboard.press("Control+k")
    page.keyboard.type("deploy production")
    page.locator("dialog.palette").get_by_role(
        "option", name="Request deployment · production", selected=True
    ).wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/request/")
