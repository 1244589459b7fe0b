"""What the ends of all servers come to, in a status, a stable word and a sentence."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.execution import verdict as module
from deployments.execution.finish import seconds_left
from deployments.execution.host_inquiry import ASKED
from deployments.execution.verdict import ON_REQUEST, judge, with_watch
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Deployment, Release, Server, Target
from tests.deployments.world import World

RETRY = "and then roll back or deploy again: both check the server first."


def end(name: str, status: TargetStatus, outcome: str = "", sentence: str = "", **facts: Any) -> Target:
    return Target(server=Server(name=name), status=status, outcome=outcome, sentence=sentence, facts=facts)


SKIPPED = end("three", TargetStatus.SKIPPED)
WELL = end("one", TargetStatus.SUCCEEDED, "verified", "it runs")
BACK = end("one", TargetStatus.REVERTED, ON_REQUEST, "it went back")
NO = end("two", TargetStatus.FAILED, "no_sudo", "two says no.")
SILENT = end("two", TargetStatus.FAILED, "host_unreachable", "two does not answer.", **{ASKED: False})
REVERTED = end("two", TargetStatus.REVERTED, "unit_not_active", "tea.service fails.")
ENDED = end("two", TargetStatus.CANCELLED, "superseded_on_host", "A newer one began.")


@pytest.mark.parametrize(
    ("targets", "verdict"),
    [
        ([NO, SKIPPED], (Status.FAILED, "no_sudo", "two says no.")),
        ([end("two", TargetStatus.FAILED, "", "why"), SKIPPED], (Status.FAILED, "failed", "why")),
        (
            [REVERTED, SKIPPED],
            (Status.ROLLED_BACK, "unit_not_active", "tea.service fails. Every server runs what it ran before."),
        ),
        ([BACK, NO], (Status.ROLLED_BACK, "no_sudo", "two says no. Every server runs what it ran before.")),
        (
            [BACK, SILENT],
            (
                Status.ROLLED_BACK,
                "host_unreachable",
                "two does not answer. Every other server runs what it ran before; what two runs now was not looked at.",
            ),
        ),
        (
            [end("one", TargetStatus.INTERRUPTED, "revert_failed", "one is half way."), NO, SKIPPED],
            (Status.INTERRUPTED, "revert_failed", f"one is half way. Look at one {RETRY}"),
        ),
        ([WELL, NO], (Status.INTERRUPTED, "not_restored", f"it runs Look at one {RETRY}")),
        (
            [end("one", TargetStatus.SUCCEEDED), end("two", TargetStatus.SUCCEEDED), NO],
            (Status.INTERRUPTED, "not_restored", f"one was not restored. Look at one, two {RETRY}"),
        ),
        (
            [WELL, end("two", TargetStatus.INTERRUPTED, "host_unreachable", "")],
            (Status.INTERRUPTED, "host_unreachable", f"two was not restored. Look at two {RETRY}"),
        ),
        ([ENDED, SKIPPED], (Status.CANCELLED, "superseded_on_host", "A newer one began.")),
        (
            [BACK, ENDED],
            (
                Status.CANCELLED,
                "superseded_on_host",
                "A newer one began. Every server runs what it ran before.",
            ),
        ),
        ([end("one", TargetStatus.CANCELLED), SKIPPED], (Status.CANCELLED, "cancelled", "Nothing had been changed.")),
        (
            [SKIPPED],
            (Status.FAILED, "worker_lost", "The worker ended before the deployment did. Nothing had been changed."),
        ),
        (
            [BACK, SKIPPED],
            (
                Status.ROLLED_BACK,
                "worker_lost",
                "The worker ended before the deployment did. Every server runs what it ran before.",
            ),
        ),
    ],
)
def test_what_it_comes_to(targets: list[Target], verdict: tuple[Status, str, str]) -> None:
    assert judge(Deployment(), targets) == verdict


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([SKIPPED], "Nothing had been changed."),
        ([ENDED, SKIPPED], "A newer one began."),
        ([ENDED, end("three", TargetStatus.CANCELLED, "x", "Three too.")], "A newer one began. Three too."),
        ([BACK, SKIPPED], "Every server runs what it ran before."),
    ],
)
def test_who_cancelled_it_is_named_where_no_server_said_no(targets: list[Target], said: str) -> None:
    by_olga = Deployment(cancel_requested_by="olga")
    assert judge(by_olga, targets) == (Status.CANCELLED, "cancelled", f"Cancelled by olga. {said}")
    assert judge(by_olga, [NO, SKIPPED])[:2] == (Status.FAILED, "no_sudo"), "its own failure came first"


def ran(name: str, watched: str, **more: Any) -> Target:
    return end(name, TargetStatus.SUCCEEDED, "verified", "it runs", proof={"watched": watched, **more})


RELEASE = Release(identifier="tea-1.0", name="tea-bot", version="1.0")


@pytest.mark.parametrize(
    ("watched", "said"),
    [
        (("nothing fell.", "nothing fell"), "Looked at: nothing fell."),
        (("nothing fell.", "a loop."), "Looked at: one: nothing fell. two: a loop."),
    ],
)
def test_what_all_servers_say_is_said_once(watched: tuple[str, str], said: str) -> None:
    targets = [ran(name, words) for name, words in zip(("one", "two"), watched, strict=True)]
    assert module._success(Deployment(release=RELEASE), targets) == (
        Status.SUCCEEDED,
        "verified",
        f"{RELEASE} runs on one, two, verified. {said}",
    )


def test_while_one_of_them_is_still_watched_that_is_said() -> None:
    targets = [ran("one", "nothing fell", baseline={"left": 5.0}), ran("two", "nothing fell")]
    assert seconds_left(targets) == 5.0
    *_, sentence = module._success(Deployment(release=RELEASE), targets)
    assert sentence.endswith(" verified. Looked at: nothing fell. So far: the watch goes on.")


def test_a_way_back_says_how_long_it_took_and_what_it_lost() -> None:
    lost = [{"database": "tea.db", "table": "cups", "before": 9, "after": 4}]
    targets = [ran("one", "nothing fell"), ran("two", "nothing fell")]
    targets[1].facts["proof"]["rows_lost"] = lost
    began = timezone.now() - timedelta(seconds=12)
    *_, sentence = module._success(Deployment(release=RELEASE, kind=Kind.ROLLBACK, started_at=began), targets)
    found = re.search(r" Back in (\d+\.\d) s of the 300 s allowed\.", sentence)
    assert found is not None, sentence
    assert 12.0 <= float(found[1]) < 300
    assert sentence.endswith(" two: tea.db has 4 rows in cups and had 9; a copy from before is in its backups."), (
        sentence
    )
    *_, sentence = module._success(Deployment(release=RELEASE, started_at=began), targets)
    assert "Back in" not in sentence, "only of a rollback"


def test_what_there_is_where_it_failed_is_said_group_by_group() -> None:
    runs, empty = end("two", TargetStatus.REVERTED, "x", "A."), end("three", TargetStatus.FAILED, "x", "B.")
    runs.base_release_id = 1
    unseen = end("four", TargetStatus.FAILED, "x", "C.", **{ASKED: False})
    unseen.base_release_id = 1
    *_, sentence = module._success(Deployment(release=RELEASE), [ran("one", "x"), runs, empty, unseen])
    assert sentence == (
        f"{RELEASE} runs on one, verified. Looked at: x. Not on two, three, four, which the policy allows: "
        "two: what ran there before still does; three: nothing ran there before; four: what runs there now was not "
        "looked at. two: A. three: B. four: C."
    )


def test_after_the_watch_the_sentence_says_what_was_seen_on_the_servers_that_took_it(world: World) -> None:
    row = world.request()
    (first,) = row.targets.all()
    other = row.targets.create(server=world.servers["test"], order=9, status=TargetStatus.FAILED)
    first.status, first.facts = TargetStatus.SUCCEEDED, {"proof": {"watched": "so far well", "baseline": {"left": 5.0}}}
    first.save()
    *_, row.sentence = module._success(row, list(row.targets.select_related("server")))
    assert "Looked at: so far well. So far: the watch goes on." in row.sentence
    first.facts["watch"] = {"sentence": "It fell twice."}
    first.save()
    other.facts = {"watch": {"sentence": "None of this."}}
    other.save()
    assert "Looked at: It fell twice. Not on test-1" in with_watch(row)
