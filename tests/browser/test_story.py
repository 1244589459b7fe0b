"""The whole story on a real server: requested, refused to its requester, read, approved, watched, rolled back.

`PORTAL_SCREENSHOTS=DIRECTORY` keeps pictures of it; those of the documentation come from `tests.browser.pictures`.
"""

import json
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.demo.portal import ROOT, DemoPortal
from sandbox.hosts import Host, HostSet
from tests.dashboard.browsing import Visitor, Visitors
from tests.fixtures.records import EXAMPLE

pytestmark = [pytest.mark.hosts, pytest.mark.browser]
TIMEOUT = 120_000
"""Milliseconds a deployment may take on a busy machine."""
MORE_ROLES = """
from django.contrib.auth.models import Group, User
user = User.objects.create_user("olga", password="{password}", is_staff=True, first_name="Olga")
user.groups.set(Group.objects.filter(name__in=["operator", "approver"]))
"""


@dataclass
class World:
    """A portal with its workers, and a server of `production` that is ready."""

    portal: DemoPortal
    host: Host
    releases: list[str]

    def sign_in(self, visitor: Visitor, who: str) -> None:
        """Through the sign-in page."""
        page = visitor.page
        page.goto(f"{self.portal.url}/admin/")
        page.fill("input[name=username]", who)
        page.fill("input[name=password]", self.portal.passwords[who])
        page.keyboard.press("Enter")
        page.wait_for_url(f"{self.portal.url}/admin/")

    def go(self, visitor: Visitor, path: str) -> None:
        """Open a page of the admin."""
        visitor.page.goto(f"{self.portal.url}/admin/{path}")
        visitor.page.wait_for_load_state("load")

    def runs(self) -> str:
        """The release that the bot on the server says it is."""
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8100/status').headers['X-Release'])"
        return self.host.root(["python3", "-c", ask]).stdout.decode().strip()

    def events(self) -> list[tuple[str, str]]:
        """Name and actor of every event, oldest first."""
        with closing(sqlite3.connect(f"file:{self.portal.state}/portal.sqlite3?mode=ro", uri=True)) as database:
            return list(database.execute("SELECT name, actor FROM deployments_auditevent ORDER BY sequence"))


@pytest.fixture(scope="module")
def world(hosts_factory: Callable[..., HostSet], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server in `production`, two releases of the example bot."""
    hosts = hosts_factory(1)
    host = hosts.host(1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    portal = DemoPortal(ROOT / ".state" / "story", port, hosts.gateway)
    portal.environment["DJANGO_SETTINGS_MODULE"] = (
        "portal.settings"  # not those of the tests, which have their own state
    )
    portal.reset()
    portal.start()
    try:
        portal.wait_until_up()
        portal.make_accounts({})
        portal.passwords["olga"] = "correct horse battery"
        portal.manage("shell", "--command", MORE_ROLES.format(password=portal.passwords["olga"]))
        releases = [_build(portal, tmp_path_factory.mktemp("tree") / "bot", version) for version in ("1.0.0", "1.1.0")]
        where = ("--environment", "production", "--host", host.address, "--fingerprint", host.fingerprint)
        portal.manage("enroll", "prod-1", *where, person="admin")
        portal.manage("provision", "prod-1", "--bootstrap-key", str(hosts.bootstrap_key), person="admin")
        yield World(portal, host, releases)
    finally:
        portal.stop()


def _build(portal: DemoPortal, tree: Path, version: str) -> str:
    shutil.copytree(EXAMPLE, tree)
    (tree / "VERSION").write_text(f"{version}\n")
    program = tree / "dicebot" / "__main__.py"
    program.write_text(f"{program.read_text()}\n# this is {version}\n")
    said = portal.manage("build_release", "--source", str(tree), "--json")
    return str(json.loads(said)["release"])


def test_a_deployment_is_requested_refused_read_approved_watched_and_rolled_back(visit: Visitors, world: World) -> None:
    operator, approver = visit(), visit(scheme="dark")
    operator.expected.append("403 (Forbidden)")
    world.sign_in(operator, "olga")
    world.sign_in(approver, "approver")
    first, second = world.releases

    number = _requested(world, operator, first, "the first one")
    _refused(world, operator, number)
    _approved(world, approver, number, picture="")
    _watched(world, operator, number, "Succeeded")
    assert world.runs() == first

    number = _requested(world, operator, second, "says more, tested on test")
    operator.picture("admin-request")
    _approved(world, approver, number, picture="admin-approve")
    _watched(world, approver, number, "Succeeded")
    approver.picture("admin-deployment-dark")
    assert world.runs() == second

    page = operator.page
    world.go(operator, f"deployments/deployment/{number}/change/")  # the admin leads to the one page
    page.get_by_role("link", name="Roll back", exact=True).click()
    page.wait_for_url("**/roll-back/")
    assert f"Roll production back to {first}?" in page.inner_text("body")
    page.get_by_label("Reason").fill("dice show a seven")
    _no_violations(operator)
    page.get_by_role("button", name="Roll back", exact=True).click()
    page.wait_for_url("**/deployments/*/")
    rollback = _number(page.url)
    _watched(world, operator, rollback, "Succeeded")
    assert world.runs() == first

    world.go(operator, "deployments/auditevent/")
    assert page.locator(".cy-event-rollback").count() >= 2
    _no_violations(operator)
    operator.picture("admin-audit", whole=False)
    world.go(operator, "")
    _no_violations(operator)
    operator.picture("admin-overview")
    world.go(approver, "")
    _no_violations(approver)
    approver.picture("admin-overview-dark")
    told = world.events()
    names = [name for name, _ in told]
    assert ("deployment.requested", "olga") in told
    assert ("deployment.approved", "approver") in told
    assert ("rollback.requested", "olga") in told
    assert names.count("deployment.succeeded") == 2
    assert names.count("rollback.succeeded") == 1
    world.portal.manage("audit", "verify")


def test_the_overview_on_a_phone(visit: Visitors, world: World) -> None:
    visitor = visit(size="phone")
    world.sign_in(visitor, "approver")
    assert visitor.sideways() <= 1
    visitor.picture("admin-overview-phone")


def _requested(world: World, visitor: Visitor, release: str, reason: str) -> int:
    """Ask for a release in the admin; returns the deployment's number."""
    page = visitor.page
    world.go(visitor, "")
    page.get_by_role("link", name="Deploy production", exact=True).click()
    page.wait_for_url("**/request/")
    page.locator("#cy-releases").get_by_title(release).locator("xpath=ancestor::label").get_by_role("radio").check()
    page.locator(f"#cy-plan-of:has-text('{release}')").wait_for()
    page.get_by_label("Reason").fill(reason)
    _no_violations(visitor)
    page.get_by_role("button", name="Request approval").click()
    page.wait_for_url("**/deployments/*/")
    assert "awaiting approval" in page.inner_text("body").lower()
    _no_violations(visitor)
    return _number(page.url)


def _refused(world: World, visitor: Visitor, number: int) -> None:
    """Whoever asked tries to approve, having the role for it."""
    page = visitor.page
    assert page.get_by_role("link", name="Review and decide").count() == 0, "it is not even offered"
    world.go(visitor, f"deployments/deployment/{number}/approve/")
    assert page.get_by_role("button", name="Approve", exact=True).count() == 0
    alert = page.get_by_role("alert").filter(has_text="cannot be the one who decides about it")
    alert.wait_for()
    assert "being an administrator makes no difference" in alert.inner_text()
    _no_violations(visitor)
    visitor.picture("admin-four-eyes", whole=False)


def _approved(world: World, visitor: Visitor, number: int, *, picture: str) -> None:
    """Somebody else finds it on the overview, reads the plan and approves."""
    page = visitor.page
    world.go(visitor, "")
    page.get_by_role("link", name=f"Review and decide about deployment {number}").click()
    page.wait_for_url("**/approve/")
    page.evaluate("document.querySelectorAll('details:not(.drop)').forEach(one => { one.open = true; })")
    said = page.inner_text("body")
    assert re.search(r"Seal\s+[0-9a-f]{64}", said)
    assert "preflight → stage → dependencies → backup → activate → restart → verify" in said
    _no_violations(visitor)
    if picture:
        assert "+# this is 1.1.0" in page.inner_text("body")
        visitor.picture(picture)
    page.get_by_label("Comment").fill("read it")
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_url("**/deployments/*/")
    page.get_by_role("link", name="Deployment approved").wait_for()  # the message goes when a worker has taken it


def _watched(world: World, visitor: Visitor, number: int, end: str) -> None:
    """Look on, without touching anything, until it has ended; every step has its time."""
    page = visitor.page
    if not page.url.endswith(f"/deployments/{number}/"):
        world.go(visitor, f"deployments/deployment/{number}/change/")
    page.evaluate("window.here = true")
    page.locator("h1 .pill").filter(has_text=end).wait_for(timeout=TIMEOUT)
    assert page.evaluate("window.here") is True, "the page was not loaded again"
    steps = page.locator(".server .step").all_inner_texts()
    assert [step.split()[0] for step in steps][:7] == [
        "preflight",
        "stage",
        "dependencies",
        "backup",
        "activate",
        "restart",
        "verify",
    ]
    assert all(re.search(r"\d+(\.\d+)? (ms|s)", step) for step in steps)
    _no_violations(visitor)


def _number(url: str) -> int:
    found = re.search(r"/deployments/(\d+)/", url)
    return int(found[1]) if found else 0


def _no_violations(visitor: Visitor) -> None:
    assert visitor.violations() == [], visitor.page.url
