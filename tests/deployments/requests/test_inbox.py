"""What waits, in a line: which servers, from what, with how many hooks."""

import pytest

from deployments.models import Approval, Deployment, Environment
from deployments.requests.approvals import approve
from deployments.requests.inbox import inbox, plan_in_a_line
from deployments.snapshot import SealedBase, SealedHook, SealedPlan, SealedTarget, Snapshot
from tests.deployments.world import World

MIGRATE = SealedHook(moment="before_activate", role="bot", command=("migrate",))


def servers(*bases: str) -> tuple[SealedTarget, ...]:
    return tuple(
        SealedTarget(server=f"prod-{number}", roles=("bot",), base=SealedBase(release=base) if base else None)
        for number, base in enumerate(bases, 1)
    )


@pytest.mark.parametrize(
    ("bases", "hooks", "line"),
    [
        (("",), 0, "prod-1: the first release there"),
        (("1.0",), 0, "prod-1: from 1.0"),
        (("1.0", "1.0"), 1, "prod-1, prod-2: from 1.0; 1 hook"),
        (("1.0", "1.1"), 2, "prod-1, prod-2: from several releases; 2 hooks"),
        (("1.0", ""), 0, "prod-1, prod-2: from several releases"),
        (("1.0",) * 3, 0, "prod-1, prod-2, prod-3: from 1.0"),
        (("1.0",) * 5, 0, "prod-1, prod-2, prod-3 and 2 more: from 1.0"),
    ],
)
def test_a_plan_in_a_line(bases: tuple[str, ...], hooks: int, line: str) -> None:
    plan = SealedPlan(hooks=(MIGRATE,) * hooks)
    assert plan_in_a_line(Snapshot(targets=servers(*bases), plan=plan)) == line


def test_of_each_request_everybody_reads_what_concerns_them(world: World) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    world.succeeded(world.releases[0])
    row = world.request("colleague")
    (first,) = inbox(world.people["approver"])
    assert (first.deployment, first.record.release, first.why_not) == (row, world.releases[1], "")
    assert (first.given, first.needed) == (0, 2)
    assert first.plan == f"production-1: from {world.releases[0].version}"
    approve(actor=world.people["approver"], deployment=row)
    Approval.objects.create(
        deployment=row, actor="administrator", decision=Approval.Decision.REJECTED, seal=row.seal, comment="no"
    )
    for who, why in (
        ("approver", "You approved it already."),
        ("superuser", ""),
        ("viewer", "You may not approve: that takes the role approver."),
        ("colleague", "You may not approve: that takes the role approver."),
    ):
        (waiting,) = inbox(world.people[who])
        assert (waiting.given, waiting.needed, waiting.why_not) == (1, 2, why), who


def test_a_request_whose_snapshot_cannot_be_read_says_so_and_how_many_it_needs_now(world: World) -> None:
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(snapshot={"targets": 1})
    (waiting,) = inbox(world.people["approver"])
    assert waiting.plan.startswith("The stored snapshot cannot be read: targets.")
    assert waiting.needed == 1
