"""Who may conclude a deployment, in which order servers go back, and how many failures leave a success one."""

from typing import Any
from uuid import uuid4

import pytest

from deployments.core.actors import system_actor
from deployments.execution import verdict as module
from deployments.execution.claims import Claimed, claim
from deployments.execution.recorder import Recorder
from deployments.execution.side_by_side import side_by_side
from deployments.execution.verdict import ON_REQUEST, conclude
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Server, Target
from deployments.requests.approvals import approve
from deployments.snapshot import SealedPolicy, SealedTarget, Snapshot
from tests.deployments.execution.test_verdict import end
from tests.deployments.world import World


@pytest.fixture
def claimed(transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch) -> Claimed:
    """A deployment to two servers in a worker's hands, none of which may be asked; another one waits in production."""

    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("a server was asked")

    monkeypatch.setattr(module, "limited_session", nobody)
    approve(actor=world.people["approver"], deployment=world.request())
    found = claim(world.request(environment="test").pk)
    assert found is not None
    second = Server.objects.create(name="test-2", environment=world.test, host="192.0.2.1", roles=["bot"])
    found.deployment.targets.create(server=second, order=9)
    return found


def ended(claimed: Claimed, *statuses: TargetStatus) -> None:
    for target, status in zip(claimed.deployment.targets.order_by("order"), statuses, strict=True):
        Target.objects.filter(pk=target.pk).update(status=status, outcome="no_sudo", sentence=f"{target.server}: no.")


def concluded(claimed: Claimed, **more: Any) -> bool:
    with Recorder(claimed.deployment, claimed.token) as recorder:
        return conclude(actor=system_actor("worker"), claimed=claimed, recorder=recorder, timeout=0.0, **more)


def test_who_holds_it_no_more_has_nothing_to_do_and_writes_nothing(claimed: Claimed) -> None:
    ended(claimed, TargetStatus.SUCCEEDED, TargetStatus.FAILED)
    rows = Deployment.objects.filter(pk=claimed.deployment.pk)
    rows.update(claim=uuid4())
    assert concluded(claimed)
    ended(claimed, TargetStatus.FAILED, TargetStatus.WAITING)
    assert concluded(claimed)
    assert (rows.get().status, rows.get().sentence) == (Status.RUNNING, "")
    assert set(claimed.deployment.targets.values_list("status", flat=True)) == {"failed", "waiting"}
    assert not AuditEvent.objects.filter(name="deployment.failed").exists()


def test_servers_that_were_not_begun_are_left_out_and_those_of_others_wait_on(claimed: Claimed) -> None:
    ended(claimed, TargetStatus.FAILED, TargetStatus.WAITING)
    assert concluded(claimed)
    now = Deployment.objects.get(pk=claimed.deployment.pk)
    assert (now.status, now.outcome, now.sentence) == (Status.FAILED, "no_sudo", "test-1: no.")
    assert [each.status for each in now.targets.order_by("order")] == [TargetStatus.FAILED, TargetStatus.SKIPPED]
    others = Target.objects.exclude(deployment=now)
    assert set(others.values_list("status", flat=True)) == {TargetStatus.WAITING}
    event = AuditEvent.objects.get(name="deployment.failed")
    assert (event.actor, event.data["targets"]) == ("system:worker", {"test-1": "failed", "test-2": "skipped"})


def test_where_every_server_runs_it_none_goes_back(claimed: Claimed) -> None:
    ended(claimed, TargetStatus.SUCCEEDED, TargetStatus.SUCCEEDED)
    assert concluded(claimed)
    now = Deployment.objects.get(pk=claimed.deployment.pk)
    assert (now.status, now.outcome) == (Status.SUCCEEDED, "verified")
    assert now.sentence.startswith(f"{now.release} runs on test-1, test-2, verified. ")


def sealed(*names: str, failures: int = 0, batch: int = 2, kind: Kind = Kind.DEPLOYMENT) -> Deployment:
    policy = SealedPolicy(batch=batch, max_failures=failures)
    targets = tuple(SealedTarget(server=name) for name in names)
    return Deployment(snapshot=Snapshot(kind=kind, targets=targets, policy=policy).to_json(), kind=kind)


WELL = [end(name, TargetStatus.SUCCEEDED) for name in ("a", "b", "c", "d", "e")]
NAMES = [target.server.name for target in WELL]


@pytest.mark.parametrize(
    ("activated", "order"),
    [
        ("abcde", [["d", "e"], ["b", "c"], ["a"]]),
        ("abd", [["d"], ["b"], ["a"]]),
        ("ae", [["e"], ["a"]]),
        ("", []),
    ],
)
def test_the_round_that_was_activated_last_goes_back_first(activated: str, order: list[list[str]]) -> None:
    targets = [
        end(name, TargetStatus.SUCCEEDED if name in activated else TargetStatus.FAILED) for name in reversed(NAMES)
    ]
    found = module._last_first(sealed(*NAMES), targets)
    assert [[target.server.name for target in group] for group in found] == order


FAILED, REVERTED = (end("c", status, "unit_failed") for status in (TargetStatus.FAILED, TargetStatus.REVERTED))
SECOND = end("d", TargetStatus.FAILED, "no_sudo")


@pytest.mark.parametrize(
    ("others", "allowed", "tolerable"),
    [
        ([], 0, True),
        ([FAILED], 0, False),
        ([FAILED], 1, True),
        ([REVERTED], 1, True),
        ([FAILED, SECOND], 1, False),
        ([FAILED, SECOND], 2, True),
        ([end("c", TargetStatus.FAILED, "host_unreachable", asked=False)], 1, True),
        ([end("a", TargetStatus.FAILED, "no_sudo")], 5, False),
        ([end("c", TargetStatus.REVERTED, ON_REQUEST)], 5, False),
        ([end("c", TargetStatus.INTERRUPTED, "revert_failed")], 5, False),
        ([end("c", TargetStatus.CANCELLED, "cancelled")], 5, False),
        ([end("c", TargetStatus.WAITING)], 5, False),
        ([FAILED, end("d", TargetStatus.WAITING)], 5, False),
    ],
)
def test_so_many_failures_are_tolerated_and_no_other_kind_of_end(
    others: list[Target], allowed: int, tolerable: bool
) -> None:
    names = {target.server.name for target in others}
    targets = [*(target for target in WELL if target.server.name not in names), *others]
    assert module._tolerable(sealed(*NAMES, failures=allowed), targets) is tolerable
    back = sealed(*NAMES, failures=allowed, kind=Kind.ROLLBACK)
    assert module._tolerable(back, targets) is (not others), "on the way back none is"


def test_of_several_acts_all_come_to_their_end_and_the_first_one_that_failed_is_told(transactional_db: None) -> None:
    done: list[str] = []

    def fails(word: str) -> str:
        done.append(word)
        raise ValueError(word)

    assert side_by_side([lambda: "a", lambda: "b", lambda: "c"]) == ["a", "b", "c"]
    assert side_by_side([]) == []
    with pytest.raises(ValueError, match="one"):
        side_by_side([lambda: "a", lambda: fails("one"), lambda: fails("two")])
    assert sorted(done) == ["one", "two"]
