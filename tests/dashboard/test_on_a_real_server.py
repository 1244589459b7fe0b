"""The pages beside the whole product: a portal with its workers, the real bot on a real server, and what goes wrong.

`PORTAL_SCREENSHOTS=DIRECTORY` keeps pictures of it; those of the documentation come from `tests.browser.pictures`.
"""

import asyncio
import json
import socket
import sqlite3
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page

from sandbox.cytube.config import SANDBOX_PASSWORD, Channel, ServerConfig
from sandbox.cytube.server import CytubeServer
from sandbox.demo.portal import ROOT, DemoPortal
from sandbox.hosts import Host, HostSet
from tests.dashboard.browsing import Visitor, Visitors

pytestmark = [pytest.mark.hosts, pytest.mark.browser]
SILENCE = 100_000
"""Milliseconds: a bot is down after 60 s of silence, and a page follows within 5."""
CLOSE_BEHIND = 1.5
"""Seconds between what happens on the server and the browser, as promised; the link's own delay is within it."""


@dataclass
class World:
    """Everything that runs."""

    portal: DemoPortal
    host: Host

    def sign_in(self, visitor: Visitor) -> None:
        """As an operator, through the sign-in page."""
        visitor.page.goto(f"{self.portal.url}/deployments/")
        visitor.page.fill("input[name=username]", "operator")
        visitor.page.fill("input[name=password]", self.portal.passwords["operator"])
        visitor.page.keyboard.press("Enter")
        visitor.page.wait_for_url(f"{self.portal.url}/deployments/")

    def deploy(self) -> int:
        """Ask for what runs on `test` once more, by the API, which answers at once; returns the deployment's number."""
        release = self.rows("SELECT identifier FROM deployments_release")[0][0]
        asked = urllib.request.Request(
            f"{self.portal.url}/api/v1/deployments",
            json.dumps({"environment": "test", "release": release, "reason": "once more"}).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.portal.token_file('operator').read_text().strip()}",
            },
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return int(json.load(answer)["number"])

    def rows(self, query: str) -> list[Any]:
        """What the portal's database says."""
        with closing(sqlite3.connect(f"file:{self.portal.state}/portal.sqlite3?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def world(hosts_factory: Callable[..., HostSet]) -> Iterator[World]:
    """One server with the bot deployed and connected, as the demo makes it."""
    hosts = hosts_factory(1)
    host = hosts.host(1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    portal = DemoPortal(ROOT / ".state" / "browser", port, hosts.gateway)
    portal.reset()
    portal.environment["DJANGO_SETTINGS_MODULE"] = "portal.settings"  # not the tests' own, whose state goes elsewhere
    portal.environment.pop("DATABASE_URL", None)
    with cytube(hosts.gateway) as domain:
        portal.start()
        try:
            portal.wait_until_up()
            test = {"domain": domain, "portal_url": portal.reporting_url}
            production = {"domain": domain, "channel": {"name": "test-rosey"}}
            portal.make_accounts({"test": {"bot.json": test}, "production": {"bot.json": production}})
            portal.manage("build_release", "--ref", "HEAD")
            where = ("--environment", "test", "--host", host.address, "--fingerprint", host.fingerprint)
            portal.manage("enroll", "test-1", *where, person="admin")
            portal.manage("provision", "test-1", "--bootstrap-key", str(hosts.bootstrap_key), person="admin")
            portal.manage("set_secret", "test", "cytube-password", stdin=SANDBOX_PASSWORD, person="admin")
            _bakes_not(portal)
            portal.manage("deploy", "test", "--reason", "first deployment", person="operator")
            yield World(portal, host)
        finally:
            portal.stop()


def _bakes_not(portal: DemoPortal) -> None:
    """These tests stop the bot: while its deployment baked, that would lock the environment."""
    with closing(sqlite3.connect(f"{portal.state}/portal.sqlite3", timeout=30)) as database, database:
        database.execute("UPDATE deployments_environment SET bake_seconds = 0")


@contextmanager
def cytube(address: str) -> Iterator[str]:
    """A CyTube-protocol server in a thread of its own."""
    server = CytubeServer(ServerConfig(host=address, channels=(Channel("test-rosey"),)))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    try:
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture(autouse=True)
def connected(world: World) -> Iterator[None]:
    """Every test begins and ends with a bot in its room."""
    wait_until_connected(world)
    yield
    world.host.clear()
    world.host.link(True)
    start_bot(world)


def start_bot(world: World) -> None:
    """By hand, and counted anew: systemd starts the bot five times in two minutes, and then no more."""
    world.host.root(["systemctl", "reset-failed", "cytube-bot"])
    world.host.root(["systemctl", "start", "cytube-bot"])


def wait_until_connected(world: World) -> None:
    """Return when `/api/health` says so."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if health(world)["connected"] and status_of(world):
            return
        time.sleep(0.5)
    raise AssertionError(f"the bot did not connect: {health(world)}")


def health(world: World) -> Any:
    try:
        with urllib.request.urlopen(f"{world.portal.url}/api/health/test-1", timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def status_of(world: World) -> bool:
    """Whether its last heartbeat says connected, and is recent."""
    rows = world.rows("SELECT connected, goodbye, heard_at FROM dashboard_botstate")
    if not rows:
        return False
    heard = datetime.fromisoformat(rows[0][2]).replace(tzinfo=UTC)
    return bool(rows[0][0] and not rows[0][1] and (datetime.now(UTC) - heard).total_seconds() < 25)


def heading(page: Page, text: str, timeout: float = 40_000) -> None:
    page.get_by_role("heading", level=1, name=text).wait_for(timeout=timeout)


def test_a_password_is_kept_only_if_it_signs_in_and_never_beside_a_live_bot(world: World) -> None:
    def attempt(environment: str, password: str, code: int) -> Any:
        options = ("--try", "--json")
        return json.loads(
            world.portal.manage(
                "set_secret", environment, "cytube-password", *options, stdin=password, person="admin", allowed=(code,)
            )
        )

    nowhere = attempt("production", SANDBOX_PASSWORD, 2)
    assert nowhere["error"] == "nowhere_to_try", "another environment's server sees nothing of it"
    refused = attempt("test", "not the password", 1)
    assert refused["error"] == "login_refused"
    assert "not the password" not in json.dumps(refused)
    live = attempt("test", SANDBOX_PASSWORD, 1)
    assert "is in test-rosey now" in live["sentence"], "the account of the running bot"
    assert health(world)["connected"]
    world.host.root(["systemctl", "stop", "cytube-bot"])
    assert attempt("test", SANDBOX_PASSWORD, 0)["version"] == 1, "it is the one that is stored"
    assert world.host.root(["ls", "-A", "/dev/shm"]).stdout == b"", "nothing of it is left"
    tried = world.rows("SELECT data FROM deployments_auditevent WHERE name = 'secret.tried' ORDER BY sequence")
    assert [json.loads(row[0])["passed"] for row in tried] == [False, False, True]
    start_bot(world)
    wait_until_connected(world)


def test_the_status_page_shows_the_real_bot(world: World, visit: Visitors) -> None:
    said = health(world)
    assert said["channel"] == "test-rosey"
    for scheme in ("light", "dark"):
        visitor = visit(scheme=scheme)
        visitor.page.goto(world.portal.url)
        heading(visitor.page, "The bot is in its room")
        text = visitor.page.locator("article").inner_text()
        for word in ("test-1", "Connected", "test-rosey"):
            assert word in text
        assert said["version"] not in text, "strangers see it where somebody chose so"
        assert visitor.violations() == []
        visitor.picture(f"status-{scheme}")
    phone = visit(size="phone")
    phone.page.goto(world.portal.url)
    assert phone.sideways() == 0
    phone.picture("status-phone")


def test_a_deployment_is_followed_live_close_behind_the_server(world: World, visit: Visitors) -> None:
    visitor = visit()
    world.sign_in(visitor)
    page = visitor.page
    world.host.latency(600)  # it takes long enough to be watched
    number = world.deploy()
    page.goto(f"{world.portal.url}/deployments/{number}/", wait_until="domcontentloaded")
    began = time.time()
    page.evaluate(
        """() => {
            window.arrived = {};
            setInterval(() => document.querySelectorAll(".step-ok .step-name").forEach((step) => {
                window.arrived[step.childNodes[1].textContent.trim()] ??= Date.now() / 1000;
            }), 50);
        }"""
    )
    page.locator("h1 .pill", has_text="Succeeded").wait_for(timeout=120_000)
    page.get_by_text("Complete.").wait_for()
    visitor.picture("deployment")
    assert visitor.violations() == []
    assert page.get_by_text("Connecting to test-1.").count() == 1
    arrived = page.evaluate("window.arrived")
    # the servers of the tests share this machine's clock, so their stamps can be compared with the browser's
    ended = world.rows(
        "SELECT s.name, s.finished_at FROM deployments_step s JOIN deployments_target t ON t.id = s.target_id "
        f"WHERE t.deployment_id = {number}"
    )
    stamps = {name: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for name, at in ended}
    behind = {name: arrived[name] - at for name, at in stamps.items() if at > began + 1}
    assert behind, "the page was open before the deployment ended"
    assert statistics.median(behind.values()) <= CLOSE_BEHIND, behind
    print(f"behind the server: {statistics.median(behind.values()):.2f} s (median of {len(behind)} steps), {behind}")


def test_a_bot_that_is_stopped_says_goodbye_and_is_shown_as_stopped(world: World, visit: Visitors) -> None:
    page = visit().page
    page.goto(world.portal.url)
    heading(page, "The bot is in its room")
    world.host.root(["systemctl", "stop", "cytube-bot"])
    heading(page, "test-1: stopped")
    answer = health(world)
    assert (answer["connected"], answer["channel"]) == (False, "test-rosey")
    start_bot(world)
    heading(page, "The bot is in its room")


@pytest.mark.full
def test_a_cable_that_is_cut_turns_the_bot_stale_then_down_and_back(world: World, visit: Visitors) -> None:
    page = visit().page
    page.goto(world.portal.url)
    heading(page, "The bot is in its room")
    world.host.link(False)
    heading(page, "test-1: no recent word", SILENCE)
    heading(page, "test-1: down", SILENCE)
    assert health(world)["connected"] is False
    world.host.link(True)
    heading(page, "The bot is in its room", 200_000)


def test_the_pages_outlive_a_restart_of_the_portal(world: World, visit: Visitors) -> None:
    visitor = visit()
    visitor.expected += ["Failed to load resource", "net::ERR"]
    page = visitor.page
    page.goto(world.portal.url)
    heading(page, "The bot is in its room")
    page.evaluate("window.mark = 'the same page'")
    world.portal.stop()
    page.get_by_text("does not answer at the moment").wait_for(timeout=40_000)
    world.portal.start()
    world.portal.wait_until_up()
    page.get_by_text("does not answer at the moment").wait_for(state="hidden", timeout=40_000)
    heading(page, "The bot is in its room", 200_000)
    assert page.evaluate("window.mark") == "the same page"


def test_the_portal_restarting_does_not_lose_the_page_of_a_deployment(world: World, visit: Visitors) -> None:
    visitor = visit()
    visitor.expected += ["Failed to load resource", "net::ERR"]
    world.sign_in(visitor)
    page = visitor.page
    number = world.deploy()
    page.goto(f"{world.portal.url}/deployments/{number}/")
    world.portal.stop()
    page.get_by_text("this page follows again by itself").wait_for(timeout=60_000)
    world.portal.start()
    world.portal.wait_until_up()
    page.locator("h1 .pill", has_text="Succeeded").wait_for(timeout=180_000)
    page.get_by_text("Complete.").wait_for(timeout=60_000)
