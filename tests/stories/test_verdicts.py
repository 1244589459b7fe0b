"""What the ends of all servers come to: a golden table."""

import pytest

from deployments.execution.verdict import judge
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Server, Target

S, F, R, X, C, K = (
    TargetStatus.SUCCEEDED,
    TargetStatus.FAILED,
    TargetStatus.REVERTED,
    TargetStatus.INTERRUPTED,
    TargetStatus.CANCELLED,
    TargetStatus.SKIPPED,
)
OTHER = "reverted_on_request"


@pytest.mark.parametrize(
    ("targets", "cancelled_by", "status", "outcome", "words"),
    [
        ([(F, "disk_full", "No room.")], "", Status.FAILED, "disk_full", "No room."),
        ([(R, "crash_loop", "It crashed.")], "", Status.ROLLED_BACK, "crash_loop", "Every server runs what it ran"),
        ([(R, OTHER, "Back."), (F, "disk_full", "No room.")], "", Status.ROLLED_BACK, "disk_full", "No room."),
        ([(R, OTHER, "Back."), (K, "", "")], "", Status.ROLLED_BACK, "worker_lost", "The worker ended"),
        ([(K, "", "")], "", Status.FAILED, "worker_lost", "Nothing had been changed"),
        ([(C, "cancelled", "Ended.")], "olga", Status.CANCELLED, "cancelled", "Cancelled by olga. Ended."),
        ([(K, "", "")], "olga", Status.CANCELLED, "cancelled", "Nothing had been changed"),
        ([(R, OTHER, "Back."), (K, "", "")], "olga", Status.CANCELLED, "cancelled", "Every server runs what it ran"),
        ([(R, OTHER, ""), (C, "cancelled", "Ended.")], "olga", Status.CANCELLED, "cancelled", "Ended. Every server"),
        ([(C, "taken_over", "9 took over.")], "", Status.CANCELLED, "taken_over", "9 took over."),
        ([(F, "disk_full", "No room.")], "olga", Status.FAILED, "disk_full", "No room."),
        ([(X, "host_unreachable", "Silence.")], "olga", Status.INTERRUPTED, "host_unreachable", "Look at one"),
        ([(S, "", ""), (F, "disk_full", "No room.")], "", Status.INTERRUPTED, "not_restored", "one was not restored"),
        ([(R, "crash_loop", "x"), (X, "no_result", "Silence.")], "", Status.INTERRUPTED, "no_result", "Look at two"),
    ],
)
def test_the_ends_of_all_servers_make_one_status(
    targets: list[tuple[TargetStatus, str, str]], cancelled_by: str, status: Status, outcome: str, words: str
) -> None:
    deployment = Deployment(cancel_requested_by=cancelled_by)
    made = [
        Target(server=Server(name=name), status=end, outcome=why, sentence=said)
        for name, (end, why, said) in zip(("one", "two"), targets, strict=False)
    ]
    assert judge(deployment, made)[:2] == (status, outcome)
    assert words in judge(deployment, made)[2]
