"""What members read about deployments: one of them, all of them, and how it goes."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.selectors.guidance import guidance
from deployments.lifecycle import FINAL, Kind, Status
from deployments.models import Approval, Deployment, Environment, LogLine, Release, Server
from tests.dashboard import records

Enrol = Callable[..., Server]
Log = Callable[..., Any]


@pytest.fixture
def member(db: None) -> Client:
    """An operator who is signed in."""
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def server(enrol: Enrol) -> Server:
    """The only server."""
    return enrol()


def shown(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def log(row: Deployment, *texts: str, **more: Any) -> list[LogLine]:
    return [LogLine.objects.create(deployment=row, target=row.targets.get(), text=text, **more) for text in texts]


@pytest.mark.parametrize(
    "path", ["/deployments/", "/deployments/{}/", "/deployments/{}/log", "/deployments/{}/log.txt"]
)
def test_deployments_are_for_members(anyone: Client, server: Server, path: str) -> None:
    path = path.format(records.deployment(server).pk)
    assert anyone.get(path).status_code == 302
    without_role = Client()
    without_role.force_login(User.objects.create_user("nobody"))
    assert without_role.get(path).status_code == 403


@pytest.mark.parametrize("number", ["0", "999", "99999999999999999999", "1e3"])
def test_an_unknown_number_is_404(member: Client, db: None, number: str) -> None:
    assert member.get(f"/deployments/{number}/").status_code == 404


@pytest.mark.parametrize("status", Status)
def test_every_status_has_a_page_that_says_it(member: Client, server: Server, status: Status) -> None:
    row = records.deployment(server, status, sentence="The reason why.")
    records.steps(row, 4, "failed")
    page = shown(member, f"/deployments/{row.pk}/")
    assert status.label in page
    assert "The reason why." in page
    assert guidance(row) in page
    assert ('data-pace="1000"' in page) is (status in {Status.QUEUED, Status.RUNNING, Status.VERIFYING})


def test_whatever_ended_badly_has_advice(server: Server) -> None:
    for status in FINAL - {Status.SUCCEEDED}:
        assert guidance(records.deployment(server, status))


def test_the_page_shows_what_was_sealed_and_who_agreed(member: Client, server: Server) -> None:
    row = records.deployment(server, reason="Answers politely")
    Approval.objects.create(deployment=row, actor="anna", decision="approved", comment="Plan read", seal=row.seal)
    page = shown(member, f"/deployments/{row.pk}/")
    for said in (row.seal, "a" * 64, "b" * 64, "c" * 64, "cytube-password v2", "anna", "Plan read", "Answers politely"):
        assert said in page
    assert "preflight → stage" in page


def test_the_page_shows_each_servers_steps_and_verification(member: Client, server: Server) -> None:
    row = records.deployment(server)
    records.steps(row, 7)
    page = shown(member, f"/deployments/{row.pk}/")
    assert page.count('class="step step-ok"') == 7
    assert "Verification results" in page
    assert "<dt>samples</dt><dd>3</dd>" in page


def test_of_the_watch_one_number_is_said_and_notes_for_programs_are_not(member: Client, server: Server) -> None:
    seen = "3 healthy answers in a row; bot.service watched for less than 0.1 s, no restart"
    row = records.deployment(server, sentence=f"0.1.0 runs on prod-1, verified. Looked at: {seen}.")
    records.steps(row, 7)
    facts = {"watched": seen, "baseline": {"since": 1796040844.66115, "left": 9.948913993999668}, "samples": 3}
    row.targets.get().steps.filter(name="verify").update(facts=facts)
    row.targets.update(sentence=f"0.1.0 runs and is verified: {seen}.", facts={"proof": facts})
    assert shown(member, f"/deployments/{row.pk}/").count("watched for") == 1
    watch = {"status": "ok", "sentence": "bot.service watched for 103 s, no restart."}
    row.targets.update(facts={"proof": facts, "watch": watch})
    page = shown(member, f"/deployments/{row.pk}/")
    assert page.count("watched for") == 1
    assert "Looked at: bot.service watched for 103 s, no restart." in page
    assert "baseline" not in page
    assert "1796040844" not in page


def test_a_success_that_is_watched_says_for_how_long_and_what_trouble_does(member: Client, server: Server) -> None:
    row = records.deployment(server, bake_until=timezone.now() + timedelta(minutes=4, seconds=30))
    page = shown(member, f"/deployments/{row.pk}/")
    assert re.search(r"Watched for 4 min [23]\d s more: production goes back by itself", page)
    Environment.objects.filter(pk=row.environment_id).update(bake_action=Environment.BakeAction.PAUSE)
    assert "more: production is locked if" in shown(member, f"/deployments/{row.pk}/?part=live")
    Deployment.objects.update(bake_until=timezone.now())
    assert " more: " not in shown(member, f"/deployments/{row.pk}/?part=live")


def test_usual_is_what_earlier_ones_took_where_there_are_three(member: Client, server: Server) -> None:
    rows = [records.deployment(server, seconds=seconds) for seconds in (40, 20, 30, 10, 90)]
    assert "usually" not in shown(member, f"/deployments/{rows[2].pk}/"), "two, and itself"
    assert "usually 30 s" in shown(member, f"/deployments/{rows[3].pk}/")
    assert "usually 25 s" in shown(member, f"/deployments/{rows[4].pk}/")


def test_the_log_follows_the_steps_and_the_rest_is_below(member: Client, server: Server) -> None:
    row = records.deployment(server, Status.RUNNING)
    page = shown(member, f"/deployments/{row.pk}/")
    places = [page.index(word) for word in ("</h1>", 'id="servers"', 'id="log"', 'id="facts"', ">Plan and changes<")]
    assert places == sorted(places)
    assert '<div id="log-place">' in page
    assert '<details class="fold" id="fold-changes">' in page, "folded once it has begun"


def test_while_it_waits_what_speaks_against_it_and_its_plan_come_first(member: Client, server: Server) -> None:
    failed = records.deployment(server, Status.FAILED, sentence="It crashed after its start.")
    step = failed.targets.get().steps.create(name="verify", state="failed", started_at=timezone.now())
    log(failed, "RuntimeError: the dice have no sides", step=step.name, stream="journal")
    log(failed, "Looked at: nothing.", step=step.name, stream="agent")
    row = records.deployment(server, Status.AWAITING_APPROVAL)
    page = shown(member, f"/deployments/{row.pk}/")
    words = ("</h1>", "It crashed after its start.", "<code>RuntimeError: the dice", "Cancel", 'id="facts"', ">Plan<")
    places = [page.index(word) for word in words]
    assert places == sorted(places)
    assert '<div id="log-place" hidden>' in page, "nothing can be in it yet"
    assert 'id="servers"' not in page
    assert "fold-changes" not in page, "open, to be read before one decides"
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    assert 'id="servers"' in shown(member, f"/deployments/{row.pk}/?part=live")


def test_what_ended_badly_says_its_error_first_and_where_it_stands_in_the_log(member: Client, server: Server) -> None:
    row = records.deployment(server, Status.ROLLED_BACK, sentence="It crashed after its start.")
    row.targets.update(base_release=records.release("0.9.0"))
    row.targets.get().steps.create(name="verify", state="failed", started_at=timezone.now())
    line = log(row, "RuntimeError: the dice have no sides", step="verify", stream="journal")[0]
    log(row, "Looked at: nothing.", step="verify", stream="agent")
    page = shown(member, f"/deployments/{row.pk}/")
    notice = page[page.index('<p class="notice bad" role="status">') : page.index('id="servers"')]
    assert "RuntimeError: the dice have no sides</code>" in notice
    assert f'href="#line-{line.pk}"' in notice
    assert f'id="line-{line.pk}"' in page
    assert "back on" in page
    assert "Reverted" not in page, "one outcome has one name"
    assert "Verification results" not in page


def test_while_it_runs_the_bar_has_words_and_each_step_what_it_usually_takes(member: Client, server: Server) -> None:
    for seconds in (3.0, 5.0, 4.0):
        target = records.deployment(server).targets.get()
        target.steps.create(name="verify", state="ok", started_at=timezone.now(), seconds=seconds)
    row = records.deployment(server, Status.RUNNING, at=timezone.now() - timedelta(seconds=2))
    records.steps(row, 3)
    page = shown(member, f"/deployments/{row.pk}/?part=live")
    assert re.search(r"<strong>backup on prod-1</strong> · [23]\.\d s of about 4\.0 s", page)
    assert '<span class="muted">3 of 7 steps</span>' in page
    began = r'<dt>Began</dt><dd><time datetime="[^"<]+" title="[^"<]+ ago">\d+ \w+ [\d:]+ UTC</time></dd>'
    assert re.search(began, page)
    assert "Will take" not in page
    assert '<span class="muted">about 4.0 s</span>' in page
    assert f'href="/admin/deployments/server/{server.pk}/change/"' in page
    assert f'href="/admin/deployments/release/{row.release_id}/change/"' in page


def test_cancelling_and_going_back_say_what_they_come_to(member: Client, server: Server) -> None:
    row = records.deployment(server, Status.RUNNING)
    row.targets.update(base_release=records.release("0.9.0"))
    records.steps(row, 2)
    page = shown(member, f"/deployments/{row.pk}/?part=live")
    assert "ends it before anything is replaced: 0.9.0 goes on running" in page
    records.steps(row, 6)
    assert "ends it and puts back what ran before" in shown(member, f"/deployments/{row.pk}/?part=live")


def test_whose_answer_is_needed_until_when(member: Client, server: Server) -> None:
    expires = timezone.now().replace(month=12, day=1, hour=12, minute=5)
    row = records.deployment(server, Status.AWAITING_APPROVAL, requested_by="olga/token:demo", expires_at=expires)
    page = shown(member, f"/deployments/{row.pk}/")
    assert "Needs 1 approval by someone other than olga; expires 1 Dec 12:05 UTC." in page
    assert "olga/token:demo" not in page
    assert "Waits for your approval" not in page, "who asked does not decide"
    approver = User.objects.create_user("arno", is_staff=True)
    approver.groups.add(Group.objects.get(name="approver"))
    member.force_login(approver)
    page = shown(member, f"/deployments/{row.pk}/")
    assert page.count("Review and decide") == page.count("Waits for your approval.") == 1


def test_what_steps_found_is_written_for_people(member: Client, server: Server) -> None:
    row = records.deployment(server)
    records.steps(row, 7)
    step = row.targets.get().steps.get(name="stage")
    step.facts = {"received_bytes": 12, "reused": False, "roles": {"bot": None}, "units": ["a", "b"]}
    step.save()
    page = shown(member, f"/deployments/{row.pk}/")
    for name, value in (("received bytes", "12"), ("reused", "no"), ("roles", "bot: none"), ("units", "a, b")):
        assert f"<dt>stage: {name}</dt><dd>{value}</dd>" in page


def test_an_empty_log_says_so(member: Client, server: Server) -> None:
    row = records.deployment(server, Status.RUNNING)
    assert "Nothing has been written yet." in shown(member, f"/deployments/{row.pk}/")


@pytest.mark.parametrize(
    ("status", "pace"),
    [(Status.AWAITING_APPROVAL, "2000"), (Status.RUNNING, "1000"), (Status.SUCCEEDED, None)],
)
def test_the_page_follows_what_can_change_closely(
    member: Client, server: Server, status: Status, pace: str | None
) -> None:
    page = shown(member, f"/deployments/{records.deployment(server, status).pk}/")
    found = re.search(r'data-pace="(\d+)"', page)
    assert (found and found.group(1)) == pace


def test_facts_of_any_shape_are_shown(member: Client, server: Server) -> None:
    row = records.deployment(server, Status.RUNNING)
    records.steps(row, 7)
    step = row.targets.get().steps.get(name="verify")
    for facts in ({"items": 1, "keys": [], "<b>": "<i>"}, [1, 2], {}, None):
        step.facts = facts or {}
        step.save()
        page = shown(member, f"/deployments/{row.pk}/")
        assert "<i>" not in page


def test_break_glass_stays_marked_until_somebody_reviewed_it(member: Client, server: Server) -> None:
    row = records.deployment(server, break_glass=True)
    assert "has not reviewed it yet" in shown(member, f"/deployments/{row.pk}/")
    assert "break-glass" in shown(member, "/deployments/")
    Deployment.objects.update(reviewed_at=timezone.now(), reviewed_by="anna")
    assert "Reviewed by anna" in shown(member, f"/deployments/{row.pk}/")
    assert "break-glass" not in shown(member, "/deployments/")


def test_the_changed_files_are_compared_with_what_ran_before(
    member: Client, server: Server, make_release: Callable[[str], Release]
) -> None:
    old, new = make_release("1.0.0"), make_release("1.1.0")
    row = records.deployment(server, release=new)
    row.targets.update(base_release=old)
    page = shown(member, f"/deployments/{row.pk}/")
    assert re.search(r"<code>VERSION</code> <span[^>]*>\+1</span> <span[^>]*>−1</span>", page)
    assert re.search(r"1 file <span[^>]*>\+1</span> <span[^>]*>−1</span>", page)
    assert "+1.1.0" in page


def test_without_artifacts_the_page_says_so(member: Client, server: Server) -> None:
    row = records.deployment(server, release=records.release("2.0.0"))
    row.targets.update(base_release=records.release("1.0.0"))
    assert "The changes cannot be shown." in shown(member, f"/deployments/{row.pk}/")


def test_the_live_part_does_not_read_artifacts(member: Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    row = records.deployment(server, Status.RUNNING)
    monkeypatch.setattr("dashboard.views.deployments.review_of", lambda **_: pytest.fail("read"))
    assert "Running" in shown(member, f"/deployments/{row.pk}/?part=live")


class TestLog:
    """The log, as a script follows it and as text."""

    def read(self, client: Client, row: Deployment, after: int | str = 0) -> Any:
        return json.loads(client.get(f"/deployments/{row.pk}/log", {"after": after}).content)

    def test_it_is_followed_by_id(self, member: Client, server: Server) -> None:
        row = records.deployment(server, Status.RUNNING)
        first = log(row, "one", "two", step="stage")
        log(records.deployment(server), "of another")
        piece = self.read(member, row)
        assert [line[5] for line in piece["lines"]] == ["one", "two"]
        assert piece["lines"][0][2:4] == ["prod-1", "stage"]
        assert (piece["more"], piece["ended"]) == (False, False)
        assert self.read(member, row, first[-1].pk)["lines"] == []
        log(row, "three")
        assert [line[5] for line in self.read(member, row, first[-1].pk)["lines"]] == ["three"]

    def test_its_end_is_told(self, member: Client, server: Server) -> None:
        assert self.read(member, records.deployment(server))["ended"] is True

    def test_long_logs_come_in_pieces(self, member: Client, server: Server) -> None:
        row = records.deployment(server)
        LogLine.objects.bulk_create(LogLine(deployment=row, text=f"line {n}") for n in range(4500))
        seen: list[str] = []
        after, more = 0, True
        while more:
            piece = self.read(member, row, after)
            seen += [line[5] for line in piece["lines"]]
            after, more = piece["lines"][-1][0], piece["more"]
        assert seen == [f"line {n}" for n in range(4500)]
        text = cast(StreamingHttpResponse, member.get(f"/deployments/{row.pk}/log.txt")).getvalue()
        assert text.decode().count("\n") == 4500

    @pytest.mark.parametrize("after", ["", "-1", "x", "²", "9" * 40, "1 or 1=1"])
    def test_nonsense_starts_from_the_beginning(self, member: Client, server: Server, after: str) -> None:
        row = records.deployment(server)
        log(row, "one")
        assert len(self.read(member, row, after)["lines"]) == 1

    def test_colours_are_taken_out_and_other_codes_are_marks(self, member: Client, server: Server) -> None:
        row = records.deployment(server)
        log(row, "\x1b[31mred\x1b[0m\x07\ttab\nnext\x1b[2J\r")
        assert self.read(member, row)["lines"][0][5] == "red[U+0007]    tab next[U+001B][2J"

    def test_lines_are_text_and_never_markup(self, member: Client, server: Server) -> None:
        row = records.deployment(server)
        log(row, "<script>alert(1)</script>")
        assert "<script>alert" not in shown(member, f"/deployments/{row.pk}/")

    def test_the_page_carries_the_last_lines_for_those_without_javascript(self, member: Client, server: Server) -> None:
        row = records.deployment(server)
        LogLine.objects.bulk_create(LogLine(deployment=row, text=f"line {n}.") for n in range(500))
        page = shown(member, f"/deployments/{row.pk}/")
        assert "line 499." in page
        assert "line 100." not in page


class TestHistory:
    """The list of deployments."""

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", [4, 3, 2, 1]),
            ("environment=test", [3]),
            ("status=failed", [2]),
            ("kind=rollback", [4]),
            ("q=olga", [3, 2, 1]),
            ("q=1.9.0", [1]),
            ("q=too slow", [4]),
            ("before={third}", [2, 1]),
            ("status=failed&environment=test", []),
            ("status=nonsense&kind=x&before=y&q=%00", [4, 3, 2, 1]),
        ],
    )
    def test_filters(self, member: Client, server: Server, enrol: Enrol, query: str, found: list[int]) -> None:
        test = enrol("test-1", environment=Environment.objects.get(name="test"))
        rows = [
            records.deployment(server, release=records.release("1.9.0")),
            records.deployment(server, Status.FAILED, release=records.release("1.8.0")),
            records.deployment(test, release=Release.objects.get(version="1.8.0")),
            records.deployment(
                server,
                kind=Kind.ROLLBACK,
                requested_by="rita",
                reason="too slow",
                release=Release.objects.get(version="1.8.0"),
            ),
        ]
        page = shown(member, f"/deployments/?{query.format(third=rows[2].pk)}")
        shown_rows = [n for n, row in enumerate(rows, 1) if f'href="/deployments/{row.pk}/"' in page]
        assert shown_rows == sorted(found)

    def test_what_waits_for_this_person_is_on_top_and_new_ones_are_a_click_away(
        self, member: Client, server: Server
    ) -> None:
        row = records.deployment(server, Status.AWAITING_APPROVAL, requested_by="rita", reason="says more")
        page = shown(member, "/deployments/")
        assert "Waiting for you" not in page, "an operator does not approve"
        assert "says more</span>" in page
        asking = f"/admin/deployments/environment/{row.environment_id}/request/"
        assert f'href="{asking}">Deploy to production' in page
        user = User.objects.create_user("anna", is_staff=True)
        user.groups.add(Group.objects.get(name="approver"))
        approver = Client()
        approver.force_login(user)
        page = shown(approver, "/deployments/")
        assert page.index("Waiting for you") < page.index(f"/deployment/{row.pk}/approve/") < page.index("<table")
        assert "Deploy to" not in page

    def test_pages_follow_each_other(self, member: Client, server: Server) -> None:
        for _ in range(60):
            records.deployment(server)
        first = shown(member, "/deployments/?environment=production")
        oldest = Deployment.objects.order_by("-pk")[49].pk
        assert f"?environment=production&amp;before={oldest}" in first
        second = shown(member, f"/deployments/?environment=production&before={oldest}")
        assert second.count('<th scope="row">') == 10
        assert "Older" not in second

    def test_the_number_of_queries_is_fixed(self, member: Client, server: Server) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                shown(member, "/deployments/")
            return len(captured)

        records.deployment(server)
        one = queries()
        for _ in range(30):
            records.deployment(server)
        assert queries() == one


def fleet(enrol: Enrol, count: int) -> Deployment:
    """A deployment that runs on so many servers: the first is done, the second under way."""
    first = enrol()
    row = records.deployment(first, Status.RUNNING)
    for number in range(2, count + 1):
        server = enrol(f"fleet-{number:02}")
        row.targets.create(server=server, order=number, status="running" if number == 2 else "waiting")
    for target in row.targets.all():
        target.steps.create(name="preflight", state="running" if target.order == 2 else "ok", started_at=timezone.now())
    return row


def test_a_fleet_is_seen_at_a_glance_and_costs_no_more_queries_than_a_few(member: Client, enrol: Enrol) -> None:
    row = fleet(enrol, 8)
    path = f"/deployments/{row.pk}/?part=live"
    page = shown(member, path)
    assert page.count('<a class="pill grade-') == 8
    assert "<strong>6</strong> Waiting" in page
    assert page.count('<details id="card-') >= 6, "who waits is folded away"
    assert f'id="card-{row.targets.get(order=2).pk}"' not in page, "who is worked on is not"
    with CaptureQueriesContext(connection) as few:
        shown(member, path)
    for number in range(9, 31):
        target = row.targets.create(server=enrol(f"fleet-{number:02}"), order=number, status="waiting")
        target.steps.create(name="preflight", state="ok", started_at=timezone.now())
    with CaptureQueriesContext(connection) as many:
        shown(member, path)
    assert len(many) == len(few)


def test_the_page_of_an_ended_deployment_tells_where_its_time_went(member: Client, server: Server) -> None:
    row = records.deployment(server)
    records.steps(row, 4, "ok")
    page = shown(member, f"/deployments/{row.pk}/")
    assert "Where the time went" in page
    assert "<td>preflight</td>" in page
