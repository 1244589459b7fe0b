"""The pages as people meet them: in a browser, light and dark, on a phone, by keyboard, while things change."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from alerting.models import Acknowledgement, Alert
from dashboard.models import BotState
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, LogLine, Server
from tests.dashboard import records
from tests.dashboard.browsing import Visitor, Visitors

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Enrol = Callable[..., Server]


@pytest.fixture
def portal(transactional_db: None, live_server: Any) -> str:
    """The address of a running portal."""
    return str(live_server.url)


@pytest.fixture
def server(enrol: Enrol) -> Server:
    """A server whose bot is connected, with a history."""
    release = records.release("1.4.0", change_log="Answers politely")
    found = enrol(current_release=release)
    for ago in range(600, -1, -50):
        records.beat(found, ago, user_count=17, requests=600 - ago, uptime=10_000 - ago)
    records.deployment(found, release=release)
    records.steps(records.deployment(found, Status.ROLLED_BACK, sentence="It never answered."), 6, "failed")
    records.deployment(found, kind=Kind.ROLLBACK)
    records.alert(found.environment, server=found)
    held = records.alert(found.environment, "ChannelEmpty", severity="info")
    Acknowledgement.objects.create(
        alert=held, actor="olga", comment="It is night.", expires_at=timezone.now() + timedelta(hours=1)
    )
    return found


@pytest.fixture
def sign_in(portal: str) -> Callable[[Visitor], None]:
    """`sign_in(visitor)`: as an operator."""
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user)
    return lambda visitor: visitor.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": portal}]
    )


def pages_of(server: Server) -> list[str]:
    row = Deployment.objects.filter(status=Status.ROLLED_BACK).first()
    assert row is not None
    return [
        "/",
        "/?range=1h",
        f"/bots/{server.name}/",
        "/deployments/",
        f"/deployments/{row.pk}/",
        "/alerts/",
        "/silences/",
        f"/alerts/{Alert.objects.latest('pk').pk}/",
        "/api/v1/docs",
        "/nothing/",
    ]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("desktop", "dark"),
        ("phone", "light"),
        pytest.param("desktop", "light", marks=pytest.mark.full),
        pytest.param("phone", "dark", marks=pytest.mark.full),
    ],
)
def test_no_page_breaks_an_accessibility_rule_or_runs_sideways(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None], scheme: str, size: str
) -> None:
    visitor = visit(scheme=scheme, size=size)
    visitor.expected.append("404 (Not Found)")
    sign_in(visitor)
    for path in pages_of(server):
        visitor.page.goto(portal + path)
        visitor.settled()
        visitor.page.evaluate("document.querySelectorAll('details:not(.drop)').forEach(one => { one.open = true; })")
        assert visitor.violations() == [], path
        assert visitor.sideways() == 0, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_empty_portal_is_accessible_too(visit: Visitors, portal: str, scheme: str) -> None:
    visitor = visit(scheme=scheme)
    visitor.page.goto(portal)
    assert visitor.violations() == []


def test_a_bot_that_leaves_is_shown_without_a_reload(visit: Visitors, portal: str, server: Server) -> None:
    page = visit().page
    page.goto(portal)
    page.evaluate("window.mark = 'the same page'")
    page.get_by_role("heading", name="The bot is in its room").wait_for()
    records.beat(server, connected=False, uptime=10_001)
    page.get_by_role("heading", name="prod-1: not in its room").wait_for()
    assert page.title().startswith("prod-1: not in its room")
    records.beat(server, connected=True, uptime=10_002)
    page.get_by_role("heading", name="The bot is in its room").wait_for()
    assert page.evaluate("window.mark") == "the same page"


def test_who_asks_for_it_is_notified_of_a_bot_that_leaves_while_elsewhere(
    visit: Visitors, portal: str, server: Server
) -> None:
    visitor = visit()
    visitor.context.grant_permissions(["notifications"])
    page = visitor.page
    page.add_init_script("""
        Object.defineProperty(document, "hidden", { get: () => Boolean(window.elsewhere) });
        const Desktop = Notification;
        window.shown = [];
        window.Notification = class extends Desktop {
          constructor(text, more) { super(text, more); this.onshow = () => window.shown.push(text); }
        };
    """)
    page.goto(portal)
    button = page.get_by_role("button", name="Notify this desktop of changes")
    assert button.get_attribute("aria-pressed") == "false", "off until somebody asks"
    button.click()
    page.locator("#tell[aria-pressed=true]").wait_for()
    page.reload()
    page.locator("#tell[aria-pressed=true]").wait_for()
    records.beat(server, connected=False, uptime=10_001)
    page.get_by_role("heading", name="prod-1: not in its room").wait_for()
    page.evaluate("window.elsewhere = true")
    records.beat(server, connected=True, uptime=10_002)
    page.wait_for_function("() => window.shown.length > 0", timeout=40_000)
    assert [text.partition(" · ")[0] for text in page.evaluate("window.shown")] == ["The bot is in its room"]


def test_what_somebody_opened_selected_or_focused_survives_a_refresh(
    visit: Visitors, portal: str, server: Server
) -> None:
    page = visit().page
    page.goto(portal)
    page.locator("#chart-table > summary").click()
    page.get_by_role("link", name="7 days").focus()
    page.evaluate("window.pulse = document.querySelector('h1')")
    with page.expect_event("console", lambda message: message.text == "refreshed"):
        page.evaluate("document.addEventListener('live', () => console.log('refreshed'))")
        records.beat(server, user_count=21, uptime=10_001)
    assert page.locator("#chart-table").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.textContent") == "7 days"
    assert page.evaluate("window.pulse.isConnected"), "elements that did not change are kept"


def test_ages_go_on_between_refreshes(visit: Visitors, portal: str, server: Server) -> None:
    page = visit().page
    page.goto(portal)
    BotState.objects.update(heard_at=timezone.now() - timedelta(seconds=20))
    heard = page.locator("article time").first
    page.wait_for_function("text => document.querySelector('article time').textContent !== text", arg="just now")
    before = heard.inner_text()
    page.wait_for_function("text => document.querySelector('article time').textContent !== text", arg=before)


def test_a_portal_that_goes_away_is_told_and_comes_back(visit: Visitors, portal: str, server: Server) -> None:
    visitor = visit()
    visitor.expected += ["Failed to load resource", "net::ERR"]
    page = visitor.page
    page.goto(portal)
    page.route("**/?part=live*", lambda route: route.abort())
    page.get_by_text("does not answer at the moment").wait_for(timeout=30_000)
    page.unroute("**/?part=live*")
    page.get_by_text("does not answer at the moment").wait_for(state="hidden", timeout=30_000)


def test_everything_is_readable_without_javascript(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    visitor = visit(java_script_enabled=False)
    sign_in(visitor)
    row = records.deployment(server, Status.FAILED, sentence="The disk is full.")
    LogLine.objects.create(deployment=row, target=row.targets.get(), step="stage", text="No space left on device")
    page = visitor.page
    page.goto(portal)
    text = page.locator("main").inner_text()
    for said in ("The bot is in its room", "1.4.0", "Users in the room, with the bot", "Rolled back"):
        assert said in text
    assert page.locator("noscript").count() == 1
    page.goto(f"{portal}/deployments/{row.pk}/")
    text = page.locator("main").inner_text()
    assert "The disk is full." in text
    assert "No space left on device" in text


def test_what_stands_below_the_log_follows_the_status_without_a_reload(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    row = records.deployment(server, Status.AWAITING_APPROVAL)
    visitor = visit()
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/")
    page.locator("#changes").wait_for()
    assert not page.locator("#log-part").is_visible()
    page.evaluate("document.getElementById('log').dataset.same = 'yes'")
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING, started_at=timezone.now())
    page.locator("#changes").wait_for(state="detached")
    page.locator("#fold-changes").wait_for()
    records.steps(row, 7)
    LogLine.objects.create(deployment=row, text="It runs.", step="verify")
    page.get_by_text("It runs.").wait_for()
    assert page.locator("#log[data-same=yes]").count() == 1, "the log that is followed is the same one"
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
    page.locator("#fold-spans").wait_for()
    order = "['servers', 'log-part', 'facts'].map(id => document.getElementById(id).getBoundingClientRect().top)"
    tops = page.evaluate(order)
    assert tops == sorted(tops)


def test_a_deployment_is_followed_to_its_end(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    visitor = visit()
    sign_in(visitor)
    page = visitor.page
    row = records.deployment(server, Status.RUNNING, at=timezone.now())
    target = row.targets.get()
    page.goto(f"{portal}/deployments/{row.pk}/")
    records.steps(row, 2)
    page.locator(".step-running", has_text="dependencies").wait_for()
    started = time.monotonic()
    LogLine.objects.create(deployment=row, target=target, step="stage", text="a line from far away")
    page.get_by_text("a line from far away").wait_for()
    assert time.monotonic() - started < 5
    Deployment.objects.filter(pk=row.pk).update(
        status=Status.SUCCEEDED, finished_at=timezone.now(), sentence="Verified."
    )
    page.get_by_text("Verified.").wait_for()
    page.get_by_text("Complete.").wait_for()
    assert page.locator("h1 .pill").inner_text() == "Succeeded"


@pytest.mark.parametrize("script", [True, False])
def test_an_alert_is_taken_in_hand_by_keyboard_with_and_without_javascript(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None], script: bool
) -> None:
    visitor = visit(size="phone", java_script_enabled=script)
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/alerts/")
    assert page.locator("h1").inner_text() == "1 critical alert needs action"
    page.get_by_role("link", name="keeps silent").first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Comment (optional)").focus()
    page.keyboard.type("Restarting it")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("olga has acknowledged it").wait_for()
    page.goto(f"{portal}/alerts/")
    assert page.locator("h1").inner_text() == "1 alert fires, acknowledged"


def test_a_log_of_fifty_thousand_lines_stays_smooth(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    row = records.deployment(server)
    target = row.targets.get()
    LogLine.objects.bulk_create(
        (LogLine(deployment=row, target=target, step="stage", text=f"line {n} of many") for n in range(50_000)),
        batch_size=5000,
    )
    visitor = visit()
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/")
    page.get_by_text("Complete.").wait_for(timeout=120_000)
    assert page.evaluate("document.querySelectorAll('#log .line').length") == 50_000
    assert page.get_by_text("line 49999 of many").is_visible(), "it follows the end"
    slowest = page.evaluate(
        """async () => {
            const log = document.getElementById("log");
            let slowest = 0;
            for (let step = 0; step < 40; step += 1) {
                const before = performance.now();
                log.scrollTop = (log.scrollHeight * step) / 40;
                await new Promise(requestAnimationFrame);
                void log.offsetHeight;
                slowest = Math.max(slowest, performance.now() - before);
            }
            return slowest;
        }"""
    )
    assert slowest < 1500, f"{slowest:.0f} ms for one frame"
    page.evaluate("document.getElementById('log').scrollTop = 0")
    page.wait_for_function("!document.getElementById('follow').checked")


def test_a_log_is_searched_and_a_line_of_it_is_led_to(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    row = records.deployment(server)
    lines = [LogLine.objects.create(deployment=row, text=f"line {n}{' odd' * (n % 2)}") for n in range(120)]
    visitor = visit()
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/#line-{lines[3].pk}")
    page.locator(f"#line-{lines[3].pk}.found").wait_for()
    assert not page.get_by_label("Follow").is_visible(), "nothing comes any more"
    page.get_by_label("Search", exact=True).fill("odd")
    page.get_by_text("60 found").wait_for()
    page.keyboard.press("Shift+Enter")
    page.get_by_text("60 of 60").wait_for()
    page.keyboard.press("Enter")
    page.locator(f"#line-{lines[1].pk}.found").wait_for()
    page.get_by_role("button", name="Jump to end").click()
    page.wait_for_function(
        "(log => log.scrollHeight - log.scrollTop - log.clientHeight < 2)(document.getElementById('log'))"
    )
    assert visitor.violations() == []


def test_the_page_says_whether_it_follows_and_when_the_connection_is_lost(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    row = records.deployment(server, Status.RUNNING, at=timezone.now())
    visitor = visit()
    visitor.expected += ["ERR_FAILED"]
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/")
    page.get_by_text("Live: this page follows by itself").wait_for()
    page.route("**/log?*", lambda route: route.abort())
    page.get_by_text("Connection lost: trying again").wait_for()
    page.unroute("**/log?*")
    page.get_by_text("Live: this page follows by itself").wait_for()
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
    page.get_by_text("Live: this page follows by itself").wait_for(state="detached")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_everything_a_chart_draws_lies_inside_it(visit: Visitors, portal: str, server: Server, size: str) -> None:
    page = visit(size=size).page
    page.goto(f"{portal}/?range=24h")
    outside = page.evaluate(
        """() => {
            const found = [];
            for (const plot of document.querySelectorAll(".plot")) {
                const room = plot.getBoundingClientRect();
                for (const part of plot.querySelectorAll("use, path, line, text, span, .scales *")) {
                    const box = part.getBoundingClientRect();
                    if (box.left < room.left - 1 || box.right > room.right + 1) found.push(part.outerHTML.slice(0, 80));
                }
                for (const svg of plot.querySelectorAll("figure svg")) {
                    const frame = svg.getBoundingClientRect();
                    for (const part of svg.querySelectorAll("path[d^=M], line")) {
                        const box = part.getBoundingClientRect();
                        if (box.right > frame.right + 1.5) found.push("clipped " + part.outerHTML.slice(0, 80));
                    }
                }
                for (const text of plot.querySelectorAll(".scales span")) {
                    if (text.scrollWidth > text.clientWidth + 1) found.push("cut " + text.textContent);
                }
            }
            return found;
        }"""
    )
    assert outside == []
    assert page.locator(".plot .scales span").count() >= 6


def test_the_only_line_of_a_log_can_be_seen(
    visit: Visitors, portal: str, server: Server, sign_in: Callable[[Visitor], None]
) -> None:
    row = records.deployment(server)
    records.steps(row, 7)
    LogLine.objects.create(deployment=row, target=row.targets.get(), text="the only line")
    visitor = visit(size="phone")  # the log begins below the window, where the browser has not laid it out yet
    sign_in(visitor)
    page = visitor.page
    page.goto(f"{portal}/deployments/{row.pk}/")
    page.get_by_text("Complete.").wait_for()
    assert page.locator("#log").evaluate("log => log.scrollHeight <= log.clientHeight"), "one line needs no scrolling"
    box, room = page.locator("#log .line").bounding_box(), page.locator("#log").bounding_box()
    assert box is not None
    assert room is not None
    assert room["y"] <= box["y"]
    assert box["y"] + box["height"] <= room["y"] + room["height"]


def test_the_pages_work_by_keyboard(visit: Visitors, portal: str, server: Server) -> None:
    page = visit().page
    page.goto(portal)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
    assert {"prod-1", "24 hours", "7 days", "The same as a table"} <= seen


def test_signing_in_leads_back_to_the_page_that_was_asked_for(visit: Visitors, portal: str, server: Server) -> None:
    user = User.objects.create_user("otto", password="a password of otto", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    page = visit().page
    page.goto(f"{portal}/deployments/?status=failed")
    page.fill("input[name=username]", "otto")
    page.fill("input[name=password]", "a password of otto")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{portal}/deployments/?status=failed")
    page.locator("nav summary").last.click()
    with page.expect_navigation():  # one that is broken off leaves a page without half of its scripts
        page.get_by_role("button", name="Sign out").click()
    page.goto(f"{portal}/deployments/")
    assert "login" in page.url
