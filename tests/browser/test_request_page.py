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


def chosen_on(page: Page) -> str:
    """The number of the release whose row is ticked."""
    return page.locator("[name=release]:checked").input_value()


def choose(page: Page, release: Release) -> None:
    """Tick its row."""
    page.locator(f"[name=release][value='{release.pk}']").check()


def of_one_release(page: Page, release: Release) -> None:
    """Wait until plan and choice are of this release."""
    page.get_by_role("heading", name=f"What {release.version} would do on production", exact=True).wait_for()
    assert chosen_on(page) == str(release.pk)
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
    choose(page, old)
    of_one_release(page, old)
    page.get_by_text(f"{old.version} runs on production already").wait_for()
    page.get_by_label("Reason").fill("says more")
    page.goto(portal + reverse("admin:index"))
    page.go_back()
    chosen = chosen_on(page)
    of_one_release(page, Release.objects.get(pk=chosen))
    page.get_by_role("button", name="Request approval").click()
    page.wait_for_url("**/deployments/*/")
    assert str(Deployment.objects.latest("pk").release_id) == chosen


def test_the_last_of_several_quick_choices_is_the_plans(visit: Visitors, portal: str, world: World) -> None:
    visitor = visit()
    visitor.expected.append("htmx:")  # the questions that the next choice makes idle are dropped, which it says
    sign_in(visitor, portal, "operator")
    page, (old, new) = visitor.page, world.releases
    page.goto(portal + reverse("admin:deployments_environment_request", args=[world.production.pk]))
    page.evaluate(
        """numbers => { for (const number of numbers) {
        document.querySelector(`[name=release][value="${number}"]`).click(); } }""",
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
    choose(page, old)
    page.get_by_role("button", name="Request approval").click()
    page.get_by_role("alert").filter(has_text="It shows the plan of your choice now").wait_for()
    of_one_release(page, old)
    assert Deployment.objects.count() == before
    assert visitor.violations() == []
    page.get_by_role("button", name="Request approval").click()
    page.wait_for_url("**/deployments/*/")
    assert Deployment.objects.latest("pk").release == old
