"""What the ends of all servers come to, in a status, a stable word and a sentence."""

from typing import Any

import pytest

from deployments.execution.host_inquiry import ASKED
from deployments.execution.verdict import ON_REQUEST, judge
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Server, Target

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
