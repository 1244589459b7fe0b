"""The status page: the answer to "is the bot in the room, what runs there, how has it been?"."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.models import BotState, Sample, StatusPage
from dashboard.selectors.series import RANGES
from dashboard.selectors.status import Choice, page_settings, status
from dashboard.views.cached_parts import _cache_in
from deployments.audit.trail import record_alone
from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Server, Step, Target
from tests.dashboard import records

Enrol = Callable[..., Server]


@pytest.fixture
def member(db: None) -> Client:
    """A viewer who is signed in."""
    user = User.objects.create_user("vera")
    user.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def open_page(db: None) -> StatusPage:
    """An administrator has chosen that everybody sees everything there is to choose."""
    return StatusPage.objects.create(pk=1, show_versions=True, show_deployments=True, show_alerts=True)


def shown(client: Client, path: str = "/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def words(html: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_an_empty_portal_says_what_to_do(anyone: Client, member: Client) -> None:
    for client in (anyone, member):
        assert "No bot has been enrolled yet" in shown(client)
    assert "deploy a release" in shown(member)
    assert "deploy a release" not in shown(anyone)
    assert "Sign in</a> to set it up" in shown(anyone)


def test_one_glance_tells_that_the_bot_is_in_its_room(anyone: Client, enrol: Enrol, open_page: StatusPage) -> None:
    records.beat(enrol(current_release=records.release()), user_count=17)
    page = words(shown(anyone))
    for said in ("The bot is in its room", "Connected", "rosey", "17", "1.0.0", "1.0.0-abc", "2 ms"):
        assert said in page


@pytest.mark.parametrize(
    ("ago", "changes", "said"),
    [
        (0, {"connected": False}, "prod-1: not in its room"),
        (45, {}, "prod-1: no recent word"),
        (70, {}, "prod-1: down"),
        (70, {"goodbye": True}, "prod-1: stopped"),
    ],
)
def test_one_glance_tells_that_it_is_not(
    anyone: Client, enrol: Enrol, ago: float, changes: dict[str, Any], said: str
) -> None:
    records.beat(enrol(), ago, **changes)
    assert said in words(shown(anyone))


def test_a_bot_never_heard_from_is_shown_as_that(anyone: Client, member: Client, enrol: Enrol) -> None:
    enrol(current_release=records.release())
    for client, why in ((anyone, "Nothing is known of it yet."), (member, "nothing has been heard from this bot")):
        page = words(shown(client))
        assert "prod-1: never heard from" in page
        assert why in page


def test_a_server_without_a_release_needs_no_attention(member: Client, enrol: Enrol) -> None:
    records.beat(enrol("test-1", environment=Environment.objects.get(name="test")))
    enrol("prod-1")
    page = words(shown(member))
    assert "The bot is in its room prod-1 nothing deployed yet" in page
    assert "No release has been deployed to this server yet." in page


def test_before_the_first_deployment_the_page_says_what_to_do(member: Client, enrol: Enrol) -> None:
    enrol()
    assert "Nothing has been deployed yet Deploy a release; the bot then reports here by itself." in words(
        shown(member)
    )


def test_charts_are_those_of_a_bot_that_was_heard(anyone: Client, enrol: Enrol) -> None:
    enrol("prod-1")
    assert '<figure class="chart' not in shown(anyone)
    records.beat(enrol("test-1", environment=Environment.objects.get(name="test")))
    records.beat(enrol("prod-2"), 2 * 86400)
    assert "test-1, last hour" in shown(anyone, "/?range=1h")
    silent = shown(anyone, "/?bot=prod-1")
    assert "Nothing was heard from prod-1 in this time." in silent
    assert '<figure class="chart' not in silent


def test_entering_the_room_is_no_absence(anyone: Client, enrol: Enrol) -> None:
    server = enrol()
    records.beat(server, 60, connected=False)
    records.beat(server, 55)
    records.beat(server)
    page = words(shown(anyone))
    assert "Uptime, 24 h 100 % of 55 s" in page
    assert "100 % of 55 s in its room" in page


def test_production_comes_first_and_trouble_before_calm(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol("test-1", environment=Environment.objects.get(name="test")))
    records.beat(enrol("prod-1"))
    records.beat(enrol("prod-2"), 500)
    page = shown(anyone)
    assert page.index('href="/bots/prod-2/">prod-2</a></h3>') < page.index('href="/bots/prod-1/">prod-1</a></h3>')
    assert page.index('href="/bots/prod-1/">prod-1</a></h3>') < page.index('href="/bots/test-1/">test-1</a></h3>')
    assert "1 of 3 bots needs attention" in page


def test_retired_servers_and_servers_without_a_bot_are_not_shown(anyone: Client, enrol: Enrol) -> None:
    enrol("old-1", state=Server.State.RETIRED)
    enrol("portal-1", roles=["portal"])
    page = shown(anyone)
    assert "old-1" not in page
    assert "portal-1" not in page


def test_nobody_sees_addresses_and_strangers_see_no_people(
    anyone: Client, member: Client, enrol: Enrol, open_page: StatusPage
) -> None:
    server = enrol(host="10.9.8.7")
    records.beat(server)
    records.deployment(server, requested_by="olga", reason="because of 10.1.1.1")
    records.alert(server.environment)
    stranger, known = shown(anyone), shown(member)
    for page in (stranger, shown(anyone, "/bots/prod-1/")):
        assert "10.9.8.7" not in page
        assert "olga" not in page
        assert "because of" not in page
        assert "9090" not in page  # Prometheus
    assert "BotDown" in stranger
    assert "keeps silent" not in stranger
    assert "keeps silent" in known
    assert "http://127.0.0.1:9090" in known


@pytest.mark.parametrize(
    ("choice", "what", "at_first"),
    [
        ("show_users", "Users", True),
        ("show_charts", "Response time", True),
        ("show_versions", "Version", False),
        ("show_deployments", "Recent deployments", False),
        ("show_alerts", "Alerts firing", False),
    ],
)
def test_what_strangers_see_is_chosen(
    anyone: Client, member: Client, enrol: Enrol, choice: str, what: str, at_first: bool
) -> None:
    server = enrol()
    records.beat(server)
    records.deployment(server)
    records.alert(server.environment)
    assert (what in shown(anyone, "/?environment=production")) is at_first
    assert what in shown(member)
    for chosen in (False, True):
        StatusPage.objects.update_or_create(pk=1, defaults={choice: chosen})
        assert (what in shown(anyone, "/?environment=production")) is chosen
        assert what in shown(member, "/?environment=production")


def test_strangers_do_not_see_what_runs_where_deployments_are_hidden(
    anyone: Client, member: Client, enrol: Enrol
) -> None:
    server = enrol()
    records.beat(server)
    records.steps(records.deployment(server, Status.RUNNING), 3)
    assert "Deployment on production" not in words(shown(anyone))
    assert "backup on prod-1" in words(shown(member))


def test_a_private_page_needs_a_sign_in(anyone: Client, member: Client, enrol: Enrol) -> None:
    enrol()
    StatusPage.objects.create(pk=1, public=False)
    for path in ("/", "/bots/prod-1/", "/?part=live"):
        answer = anyone.get(path)
        assert answer.status_code == 302
        assert "login" in answer["Location"]
        assert member.get(path).status_code == 200


def test_somebody_without_a_role_sees_what_strangers_see(enrol: Enrol) -> None:
    server = enrol()
    records.alert(server.environment)
    client = Client()
    client.force_login(User.objects.create_user("nobody"))
    assert "BotDown" not in shown(client)


def test_the_running_deployment_is_shown_with_its_steps(anyone: Client, enrol: Enrol, open_page: StatusPage) -> None:
    server = enrol()
    row = records.deployment(server, Status.RUNNING)
    records.steps(row, 3)
    page = words(shown(anyone))
    assert "Deployment on production" in page
    assert "backup on prod-1" in page
    assert re.search(r"preflight done.*stage done.*dependencies done.*backup running.*activate to do", page)
    assert '<progress max="7" value="3"' in shown(anyone)


def known_for_a_week(state: BotState) -> None:
    BotState.objects.filter(pk=state.pk).update(first_heard_at=timezone.now() - timedelta(days=7))


def test_charts_mark_deployments_rollbacks_and_alerts_on_one_timeline(
    anyone: Client, enrol: Enrol, open_page: StatusPage
) -> None:
    server = enrol()
    known_for_a_week(records.beat(server))
    records.deployment(server, at=timezone.now() - timedelta(hours=3))
    records.deployment(server, kind=Kind.ROLLBACK, at=timezone.now() - timedelta(hours=2))
    records.alert(server.environment)
    page = shown(anyone)
    for kind in ("deployment", "rollback", "alert"):
        assert f'class="mark-{kind}" href="#i-{kind}"' in page
        assert f'class="mark-line mark-{kind}"' in page
    assert "Rollback to 1.0.0: succeeded" in page  # in the table too


def test_marks_outside_the_range_or_of_another_environment_are_left_out(
    anyone: Client, enrol: Enrol, open_page: StatusPage
) -> None:
    server = enrol()
    other = enrol("test-1", environment=Environment.objects.get(name="test"))
    records.beat(server)
    records.deployment(server, at=timezone.now() - timedelta(hours=30))
    records.deployment(other)
    assert "mark-line" not in shown(anyone)


def test_a_bot_that_has_hardly_begun_is_charted_over_an_hour(anyone: Client, enrol: Enrol) -> None:
    state = records.beat(enrol())
    assert "prod-1, last hour" in shown(anyone)
    known_for_a_week(state)
    assert "prod-1, last 24 hours" in shown(anyone, "/bots/prod-1/")


def test_every_chart_has_its_table(anyone: Client, enrol: Enrol) -> None:
    server = enrol()
    records.beat(server, 10, user_count=41)
    known_for_a_week(records.beat(server, user_count=41))
    page = shown(anyone)
    assert page.count('<figure class="chart') == 3
    table = re.search(r"<caption>prod-1, last 24 hours.*?</table>", page, re.S)
    assert table
    assert "<td>41</td>" in table.group()
    assert table.group().count("<tr>") == 25
    days = re.search(r'id="days-table".*?</table>', shown(anyone, "/bots/prod-1/"), re.S)
    assert days
    assert "%" in days.group()


@pytest.mark.parametrize("key", RANGES)
def test_every_range_draws_what_was_heard(anyone: Client, enrol: Enrol, key: str) -> None:
    records.beat(enrol())
    page = shown(anyone, f"/?range={key}")
    assert RANGES[key].label in page
    assert "Nothing was heard" not in page
    assert re.search(r'class="stroke" d="M', page)


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=99999999999999999999",
        "page=²",
        "range=../../etc",
        "bot=nobody",
        "bot=%00",
        "environment=%00%ff",
        "environment=nowhere",
        "part=live&range=1h&page=7",
    ],
)
def test_nonsense_in_the_address_is_answered_with_the_page(anyone: Client, enrol: Enrol, query: str) -> None:
    records.beat(enrol())
    assert anyone.get(f"/?{query}").status_code == 200


def test_what_a_bot_says_is_text_and_never_markup(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol(), channel="<script>alert(1)</script>", version='"><img src=x>')
    for path in ("/", "/bots/prod-1/"):
        page = shown(anyone, path)
        assert "<script>alert" not in page
        assert "<img" not in page


def test_pages_keep_the_strict_policy(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol())
    for path in ("/", "/bots/prod-1/", "/api/v1/docs"):
        answer = anyone.get(path)
        policy = answer["Content-Security-Policy"]
        assert "unsafe" not in policy
        html = answer.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", html)
        assert not re.search(r"\s(?:style|on\w+)=", html)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def test_the_live_part_is_what_the_page_shows(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol())
    whole, part = shown(anyone), shown(anyone, "/?part=live")
    assert part.strip() in whole
    assert "<html" not in part


def test_a_page_drawn_within_the_last_second_is_shown_again(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol())
    shown(anyone)
    with CaptureQueriesContext(connection) as queries:
        shown(anyone)
    assert len(queries) == 2  # what the page may show, and whether this portal is in charge


def test_members_and_strangers_never_share_a_drawing(anyone: Client, member: Client, enrol: Enrol) -> None:
    server = enrol()
    records.alert(server.environment)
    for _ in range(2):
        assert "keeps silent" in shown(member)
        assert "keeps silent" not in shown(anyone)


def test_the_number_of_queries_does_not_depend_on_what_there_is(enrol: Enrol) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            found = status(page_settings(), Choice(), timezone.now(), members=True)
            assert [bar for group in found.groups for card in group.cards for bar in card.bars]
        return len(captured)

    server = enrol()
    records.beat(server)
    records.steps(records.deployment(server, Status.RUNNING), 2)
    records.deployment(server)
    records.alert(server.environment)
    record_alone(actor=system_actor("tests"), name="drill.rollback", subject="environment:test")
    few = queries()
    running = Deployment.objects.get(status=Status.RUNNING)
    for number in range(30):
        another = enrol(f"bot-{number}", order=number)
        target = Target.objects.create(deployment=running, server=another, order=number + 1)
        Step.objects.create(target=target, name="stage", state="ok", started_at=timezone.now())
        records.beat(another)
        records.deployment(another, Status.FAILED)
        records.alert(another.environment)
    assert queries() == few <= 27  # eight for who watches, what waits or is unsettled, incidents, mails and maintenance


def test_many_bots_come_in_pages(anyone: Client, enrol: Enrol) -> None:
    for number in range(15):
        records.beat(enrol(f"bot-{number:02}", order=number))
    first, second = shown(anyone), shown(anyone, "/?page=2")
    assert "All 15 bots are in their rooms" in first
    assert first.count('<article class="card">') == 12
    assert second.count('<article class="card">') == 3
    assert "Page 2 of 2" in second
    assert "15 of 15 connected" in second


def test_drills_and_backups_are_shown_with_their_age(member: Client, enrol: Enrol) -> None:
    enrol()
    actor = system_actor("tests")
    record_alone(actor=actor, name="drill.rollback", subject="environment:test", passed=False)
    record_alone(actor=actor, name="backup.made", subject="portal")
    page = words(shown(member))
    assert re.search(
        r"Rollback drill just now failed .*Alert drill never .*Restore drill never .*Backup just now", page
    )


def test_uptime_counts_from_the_first_word_and_silence_as_absence(anyone: Client, enrol: Enrol) -> None:
    server = enrol()
    state = records.beat(server)
    now = timezone.now()
    type(state).objects.filter(pk=state.pk).update(first_heard_at=now - timedelta(days=2), heard_at=now)
    yesterday = (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    fields = ("beats", "users_sum", "users_max", "requests", "errors", "response_sum", "response_beats", "response_max")
    Sample.objects.filter(resolution=86400).delete()
    Sample.objects.create(
        server=server,
        resolution=86400,
        at=yesterday,
        connected_seconds=86400 * 0.97,
        observed_seconds=86400,
        starts=0,
        **dict.fromkeys(fields, 0),
    )
    page = shown(anyone, "/bots/prod-1/")
    assert f"{yesterday.day} {yesterday:%b}: 97 %" in page
    assert page.count(": no data") >= 87


def test_no_surface_says_more_than_was_observed(anyone: Client, enrol: Enrol) -> None:
    """Twenty-eight minutes after the start there is no figure of a day, on no page and in no answer."""
    server = enrol()
    for ago in range(28 * 60, -1, -30):
        records.beat(server, float(ago), uptime=100_000 - ago)
    for path in ("/", "/bots/prod-1/"):
        page = words(shown(anyone, path))
        assert "Uptime, 24 h 100 % of 28 min" in page
        assert re.search(r"100 % of 2\d min( \d+ s)? in its room", page)
    samples = Sample.objects.filter(resolution=86400)
    assert sum(row.observed_seconds for row in samples) == pytest.approx(28 * 60, abs=5)


def test_the_page_of_an_unknown_bot_is_404(anyone: Client, db: None) -> None:
    assert anyone.get("/bots/nobody/").status_code == 404


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second goes by while a test asks twice: only what changes in the portal changes the page."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)


def drawn_anew(state_dir: Path) -> None:
    """As if a second had gone by: what is shown next is drawn again."""
    for kept in (state_dir / "pages").glob("*.answer"):
        kept.unlink()
    _cache_in.cache_clear()


@pytest.mark.parametrize("path", ["/", "/?part=live", "/?range=7d"])
def test_a_stranger_who_has_the_page_gets_it_again_only_when_it_has_changed(
    anyone: Client, enrol: Enrol, path: str, still: None, own_state: Path
) -> None:
    server = enrol(current_release=records.release())
    records.beat(server, user_count=17)
    first = anyone.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert "Cookie" in first.headers["Vary"]
    again = anyone.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    records.beat(server, user_count=18)
    drawn_anew(own_state)
    changed = anyone.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_nobody_gets_what_was_made_for_somebody_else(anyone: Client, member: Client, enrol: Enrol) -> None:
    records.beat(enrol(current_release=records.release()))
    theirs = anyone.get("/")
    mine = member.get("/", headers={"If-None-Match": theirs.headers["ETag"]})
    assert mine.status_code == 200
    assert mine.headers["Cache-Control"] == "private, no-store"
    assert "ETag" not in mine.headers
    assert ">vera<" in mine.content.decode()
    User.objects.create_user("nobody-yet")
    roleless = Client()
    roleless.force_login(User.objects.get(username="nobody-yet"))
    named = roleless.get("/", headers={"If-None-Match": theirs.headers["ETag"]})
    assert (named.status_code, "ETag" in named.headers) == (200, False)
    assert ">nobody-yet<" in named.content.decode()
    assert ">vera<" not in shown(anyone)
    assert ">nobody-yet<" not in shown(anyone)


def test_what_nobody_may_see_any_more_is_not_kept_as_it_was(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol(current_release=records.release()))
    etag = anyone.get("/").headers["ETag"]
    StatusPage.objects.update_or_create(pk=1, defaults={"public": False})
    assert anyone.get("/", headers={"If-None-Match": etag}).status_code == 302


def test_a_kept_page_says_no_seconds_that_go_on_by_themselves(anyone: Client, enrol: Enrol) -> None:
    records.beat(enrol(current_release=records.release()), 12)
    assert "updated just now" in words(shown(anyone))
    assert not re.search(r"\d s ago", shown(anyone))
