"""From an empty portal to its first release in a browser: the first steps lead there, are left and found again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Secret, Server
from tests.dashboard.browsing import Visitor, Visitors
from tests.fixtures.records import MakeRelease

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def portal(transactional_db: None, state_dir: Any, live_server: Any) -> str:
    """The address of a portal with nothing in it."""
    return str(live_server.url)


def _looked_at(visitor: Visitor, name: str) -> None:
    """Nothing is against it in any look that it has here."""
    assert visitor.violations() == []
    assert visitor.sideways() <= 1
    visitor.picture(name)


def _step(visitor: Visitor, number: int) -> str:
    return str(visitor.page.locator(f"#step-{number}").inner_text())


def _signed_in(visitor: Visitor) -> None:
    page = visitor.page
    page.fill("input[name=username]", "ada")
    page.fill("input[name=password]", "correct horse battery staple")
    page.keyboard.press("Enter")


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "desktop"), ("light", "phone")])
def test_an_empty_portal_opens_with_them(visit: Visitors, portal: str, scheme: str, size: str) -> None:
    visitor = visit(scheme=scheme, size=size)
    visitor.page.goto(portal)
    assert visitor.page.url == f"{portal}/start/"
    assert "./manage.py createsuperuser" in _step(visitor, 1)
    _looked_at(visitor, f"start-nobody-{scheme}-{size}")


def test_they_lead_from_nothing_to_a_release_that_runs(
    visit: Visitors,
    portal: str,
    make_release: MakeRelease,
    ready_server: Callable[[Environment], Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(portal)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery staple")
    call_command("createsuperuser", "--noinput", username="ada", email="ada@example.org", verbosity=0)
    page.reload()
    _signed_in(visitor)
    page.wait_for_url(f"{portal}/start/")
    assert "done" in _step(visitor, 1)
    assert "Next" in _step(visitor, 2)
    assert "It may wait" in _step(visitor, 2)
    assert page.locator("#step-1").evaluate("row => row.offsetHeight") < 60, "what is done takes a line"
    _looked_at(visitor, "start-first")

    page.goto(f"{portal}/admin/")  # left, and found again
    _looked_at(visitor, "start-overview")
    page.get_by_role("link", name="All steps").click()
    page.get_by_role("heading", name="Build a release").click()
    page.get_by_role("link", name="Ways to a release").click()
    page.get_by_text("A release is built of one commit").wait_for()
    _looked_at(visitor, "start-releases")
    release = make_release("1.0.0")

    page.goto(portal)
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url("**/start/")
    assert "Optional" in _step(visitor, 2)
    assert release.version in _step(visitor, 4)
    page.get_by_role("link", name="Add a server", exact=True).click()
    page.wait_for_url("**/server/add/?roles=bot")
    assert page.get_by_label("Name").count() == 1
    server = ready_server(Environment.objects.get(name="test"))
    Server.objects.update(state=Server.State.ENROLLED)

    page.goto(f"{portal}/start/")
    page.get_by_role("link", name=f"Provision {server}").click()
    page.get_by_text(f"The units are those of {release}").first.wait_for()
    page.goto(f"{portal}/start/")
    assert not page.get_by_role("link", name="Set a secret").is_visible(), "what comes later is folded"
    page.get_by_role("heading", name="Set the secrets").click()
    page.get_by_role("link", name="Set a secret").click()
    page.get_by_label("Name").fill("cytube-password")
    page.get_by_label("Value").fill("of the bot")
    page.get_by_role("button", name="Set a secret").click()
    page.get_by_text("cytube-password is version 1").wait_for()
    assert Secret.objects.get().name == "cytube-password"
    Server.objects.update(state=Server.State.PROVISIONED)

    page.goto(f"{portal}/start/")
    assert "done" in _step(visitor, 5)
    assert "done" in _step(visitor, 6)
    _looked_at(visitor, "start-deploy")
    page.get_by_role("link", name="Deploy to test").click()
    page.get_by_label("Reason").fill("the first one")
    page.get_by_role("button", name="Deploy now").click()
    page.wait_for_url("**/deployments/*/")
    row = Deployment.objects.get()
    page.goto(f"{portal}/start/")
    assert page.get_by_role("link", name=f"Look at #{row.pk}").count() == 1
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
    page.reload()
    assert "done" in _step(visitor, 7)
    assert "Next" in _step(visitor, 8)
    page.goto(f"{portal}/admin/")
    assert page.get_by_role("link", name="All steps").count() == 0, "past the first steps"
