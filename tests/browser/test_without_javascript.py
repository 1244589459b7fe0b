"""Sign-in and every decision of a person whose browser runs no script; and the log, read on a phone."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments.lifecycle import Status
from deployments.models import Deployment, LogLine
from tests.browser.test_control_room import sign_in
from tests.dashboard.browsing import Visitors
from tests.deployments.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def portal(transactional_db: None, world: World, live_server: Any) -> str:
    """The address of a running portal in which something was deployed."""
    world.succeeded(world.releases[0])
    return str(live_server.url)


def test_a_deployment_is_asked_for_and_decided_without_a_script(visit: Visitors, portal: str, world: World) -> None:
    operator, approver = visit(java_script_enabled=False), visit(java_script_enabled=False, size="phone")
    page = operator.page
    page.goto(portal + reverse("admin:deployments_environment_request", args=[world.production.pk]))
    page.fill("input[name=username]", "operator")
    page.fill("input[name=password]", "password of operator")
    page.keyboard.press("Enter")
    page.wait_for_url("**/request/")
    page.locator(f"[name=release][value='{world.releases[1].pk}']").check()
    page.get_by_label("Reason").fill("says more")
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_text(f"What {world.releases[1].version} would do").wait_for()
    assert page.url.endswith("/request/"), "nothing of a form's token is in an address"
    assert Deployment.objects.latest("pk").release != world.releases[1], "looking asks for nothing"
    assert page.get_by_label("Reason").input_value() == "says more"
    page.get_by_role("button", name="Request approval").click()
    page.wait_for_url("**/deployments/*/")
    row = Deployment.objects.latest("pk")
    assert (row.status, row.release) == (Status.AWAITING_APPROVAL, world.releases[1])

    sign_in(approver, portal, "approver")
    page = approver.page
    page.goto(portal + reverse("admin:index"))
    page.get_by_role("link", name=f"Review and decide about deployment {row.pk}").click()
    page.wait_for_url("**/approve/")
    approve, reject = (page.get_by_role("button", name=name, exact=True) for name in ("Approve", "Reject"))
    one, other = approve.bounding_box(), reject.bounding_box()
    assert one is not None
    assert other is not None
    assert abs(one["y"] - other["y"]) < 2, "beside each other"
    assert one["y"] + one["height"] <= 800, "in reach without scrolling"
    page.get_by_label("Comment").fill("not tonight")
    reject.click()
    page.wait_for_url("**/deployments/*/")
    row.refresh_from_db()
    assert row.status == Status.REJECTED


def test_times_are_picked_in_the_browsers_own_calendar(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit(java_script_enabled=False)
    visitor.expected.append("422")
    sign_in(visitor, portal, "operator")
    page = visitor.page
    page.goto(portal + reverse("admin:deployments_environment_lock", args=[world.production.pk]))
    until = page.get_by_label("Until, UTC")
    assert until.get_attribute("type") == "datetime-local"
    page.get_by_label("Reason").fill("exams")
    until.fill("2036-12-01T09:30")
    page.get_by_role("button", name="Lock").click()
    page.get_by_text("is locked until 1 Dec 2036 09:30 UTC").wait_for()

    page.goto(portal + reverse("maintenance"))
    begins = timezone.now() + timedelta(days=1)
    page.get_by_label("From, UTC").fill(f"{begins:%Y-%m-%dT20:00}")
    page.get_by_label("Until, UTC").fill(f"{begins:%Y-%m-%dT22:30}")
    page.get_by_role("button", name="Plan it").click()
    assert page.get_by_label("From, UTC").input_value() == f"{begins:%Y-%m-%dT20:00}", "refused without a title: kept"
    page.get_by_label("What is done").fill("new disks")
    page.get_by_role("button", name="Plan it").click()
    page.get_by_text(f"{begins:%-d %b %Y}, 20:00 to {begins:%-d %b %Y}, 22:30 UTC").wait_for()


def test_every_word_of_the_log_is_read_on_a_phone(visit: Visitors, portal: str, world: World) -> None:
    row = Deployment.objects.latest("pk")
    text = "RuntimeError: the dice have no sides, which the program noticed only after it had begun to roll them"
    LogLine.objects.create(deployment=row, target=row.targets.get(), step="verify", stream="stderr", text=text)
    visitor = visit(size="phone")
    sign_in(visitor, portal, "viewer")
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/")
    page.get_by_text("begun to roll them").wait_for()
    assert page.evaluate("(log => log.scrollWidth - log.clientWidth)(document.getElementById('log'))") <= 0
    page.goto(f"{portal}/deployments/")
    pill = page.get_by_text("Succeeded").last.bounding_box()
    assert pill is not None
    assert 0 <= pill["x"] < 390
    assert visitor.sideways() <= 0
    page.get_by_label("Menu").check(force=True)
    page.get_by_role("link", name="Alerts").click()
    page.wait_for_url("**/alerts/")
