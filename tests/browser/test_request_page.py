"""The page of a request in a browser: whatever way one comes to it, plan and choice are of one release."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from deployments.models import Deployment, Release
from tests.browser.test_control_room import sign_in
from tests.dashboard.browsing import Visitors
from tests.deployments.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def portal(transactional_db: None, world: World, live_server: Any) -> str:
    """The address of a running portal in which the older release runs; its page chooses the newer."""
    world.succeeded(world.releases[0], "test")
    world.succeeded(world.releases[0])
    return str(live_server.url)


def of_one_release(page: Page, release: Release) -> None:
    """Wait until plan and choice are of this release."""
    page.get_by_role("heading", name=f"What {release} would do on production", exact=True).wait_for()
    assert page.get_by_label("Release").input_value() == str(release.pk)
    assert page.locator("[name=plan_of]").input_value() == str(release.pk)


@pytest.mark.parametrize("cached", [True, False], ids=["kept by the browser", "loaded again"])
def test_after_back_the_plan_is_of_what_is_chosen(cached: bool, visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    sign_in(visitor, portal, "operator")
    page, (old, new) = visitor.page, world.releases
    if not cached:
        page.add_init_script("addEventListener('unload', () => {})")  # which keeps a page out of the browser's cache
    page.goto(portal + reverse("admin:deployments_environment_request", args=[world.production.pk]))
    of_one_release(page, new)
    page.get_by_label("Release").select_option(str(old.pk))
    of_one_release(page, old)
    page.get_by_role("button", name="Deploy again").wait_for()
    page.get_by_label("Reason").fill("says more")
    page.goto(portal + reverse("admin:index"))
    page.go_back()
    chosen = page.get_by_label("Release").input_value()
    of_one_release(page, Release.objects.get(pk=chosen))
    again = chosen == str(old.pk)
    page.get_by_role("button", name="Deploy again" if again else "Request deployment").click()
    page.wait_for_url("**/deployments/*/")
    assert str(Deployment.objects.latest("pk").release_id) == chosen


def test_the_last_of_several_quick_choices_is_the_plans(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    visitor.expected.append("htmx:")  # the questions that the next choice makes idle are dropped, which it says
    sign_in(visitor, portal, "operator")
    page, (old, new) = visitor.page, world.releases
    page.goto(portal + reverse("admin:deployments_environment_request", args=[world.production.pk]))
    page.evaluate(
        """numbers => { const choice = document.getElementById('id_release'); for (const number of numbers) {
        choice.value = number; choice.dispatchEvent(new Event('change', {bubbles: true})); } }""",
        [str(old.pk), str(new.pk), str(old.pk)],
    )
    of_one_release(page, old)


def test_where_the_plan_does_not_come_the_request_is_not_made(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    visitor.expected += ["ERR_FAILED", "422", "htmx"]
    sign_in(visitor, portal, "operator")
    page, old = visitor.page, world.releases[0]
    page.goto(portal + reverse("admin:deployments_environment_request", args=[world.production.pk]))
    page.route("**/request/?*", lambda route: route.abort())
    before = Deployment.objects.count()
    page.get_by_label("Release").select_option(str(old.pk))
    page.get_by_role("button", name="Request deployment").click()
    page.get_by_role("alert").filter(has_text="It shows the plan of your choice now").wait_for()
    of_one_release(page, old)
    assert Deployment.objects.count() == before
    assert visitor.violations() == []
    page.get_by_role("button", name="Deploy again").click()
    page.wait_for_url("**/deployments/*/")
    assert Deployment.objects.latest("pk").release == old
