"""Many people at once, each on a database connection of their own: one deployment, one task, a whole audit trail."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django_q.models import OrmQ

from deployments.access.policy import user_actor
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.queueing import EXECUTE
from deployments.environments.policies import change_policy, decide_policy_change
from deployments.environments.secrets import set_secret
from deployments.execution.claims import Claimed, claim
from deployments.execution.finish import finish
from deployments.lifecycle import ACTIVE, Status
from deployments.models import Approval, AuditEvent, Deployment, Environment, Secret, Server
from deployments.operations.carrying_out import carry_out
from deployments.operations.provisioning import BootstrapAccount, ask_for_provisioning
from deployments.requests.approvals import approve
from deployments.requests.cancellation import cancel
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError
from engine.ssh.keys import generate_key
from tests.deployments.world import World

MANY = 100
DEADLINE = 120  # seconds, for all of them together on a busy machine


def at_once(jobs: Iterable[Callable[[], object]]) -> Counter[str]:
    """Run every job in a thread with its own connection, let go at the same moment; counts of what became of them."""
    work = list(jobs)
    gate = threading.Barrier(len(work))
    said: list[str] = []

    def run(job: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            gate.wait(DEADLINE)
            said.append("done" if job() is not None else "nothing")
        except PortalError as refused:
            said.append(refused.reason)
        except Exception as broken:  # noqa: BLE001  (told as an outcome, which the test compares)
            said.append(f"{type(broken).__name__}: {broken}")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    return Counter(said)


def tasks() -> int:
    """Executions in the queue."""
    return sum(row.task.get("func") == EXECUTE for row in OrmQ.objects.all())


@pytest.fixture
def crowd(transactional_db: None, world: World) -> list[Actor]:
    """A hundred approvers."""
    users = User.objects.bulk_create(User(username=f"approver-{number}", is_staff=True) for number in range(MANY))
    group = Group.objects.get(name="approver")
    group.user_set.add(*users)
    return [user_actor(user) for user in users]


def test_a_hundred_approvers_at_once_make_one_deployment(crowd: list[Actor], world: World) -> None:
    row = world.request()

    def job(actor: Actor) -> Callable[[], object]:
        return lambda: approve(actor=actor, deployment=Deployment.objects.get(pk=row.pk))

    said = at_once(job(actor) for actor in crowd)
    assert said == {"done": 1, "not_waiting": MANY - 1}
    assert Approval.objects.count() == 1
    assert tasks() == 1
    assert AuditEvent.objects.filter(name="deployment.approved").count() == 1
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    assert trail.verify() == []


def test_one_approver_a_hundred_times_at_once_counts_once(crowd: list[Actor], world: World) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request()
    actor = crowd[0]
    said = at_once((lambda: approve(actor=actor, deployment=Deployment.objects.get(pk=row.pk))) for _ in range(MANY))
    assert said == {"done": 1, "approved_already": MANY - 1}
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL
    assert tasks() == 0


def test_the_last_of_several_approvals_queues_once(crowd: list[Actor], world: World) -> None:
    Environment.objects.filter(name="production").update(approvals_required=3)
    row = world.request()

    def job(actor: Actor) -> Callable[[], object]:
        return lambda: approve(actor=actor, deployment=Deployment.objects.get(pk=row.pk))

    said = at_once(job(actor) for actor in crowd[:20])
    assert said == {"done": 3, "not_waiting": 17}
    assert tasks() == 1
    assert trail.verify() == []


def test_requests_at_once_leave_one_waiting(crowd: list[Actor], world: World) -> None:
    said = at_once((lambda: world.request("operator")) for _ in range(20))
    assert said == {"done": 20}
    waiting = Deployment.objects.filter(status=Status.AWAITING_APPROVAL)
    assert waiting.count() == 1
    assert waiting.get() == Deployment.objects.first()
    assert trail.verify() == []


def test_requests_at_once_without_approval_make_one_active_deployment(crowd: list[Actor], world: World) -> None:
    said = at_once((lambda: world.request("operator", "test")) for _ in range(20))
    assert said == {"done": 1, "environment_busy": 19}
    assert Deployment.objects.filter(status__in=ACTIVE).count() == 1
    assert tasks() == 1


def test_approving_and_cancelling_at_once_agree_on_one_outcome(crowd: list[Actor], world: World) -> None:
    for _ in range(5):
        row = world.request("operator")
        jobs = [
            lambda row=row: approve(actor=crowd[0], deployment=Deployment.objects.get(pk=row.pk)),
            lambda row=row: cancel(actor=world.people["operator"], deployment=Deployment.objects.get(pk=row.pk)),
        ]
        at_once(jobs)
        row.refresh_from_db()
        assert row.status == Status.CANCELLED, "queued or waiting, it had not begun: cancelling always ends it"
    assert trail.verify() == []


def test_a_waiting_rollback_is_cancelled_while_its_deployment_ends(crowd: list[Actor], world: World) -> None:
    world.succeeded(world.releases[0])
    operator = world.people["operator"]
    for _ in range(10):
        row = world.request("operator")
        approve(actor=crowd[0], deployment=row)
        claimed = claim(row.pk)
        assert claimed is not None
        rollback = request_rollback(actor=operator, environment=world.production, reason="it hangs")

        def end(claimed: Claimed = claimed) -> object:
            ended = finish(
                actor=operator,
                deployment=claimed.deployment,
                status=Status.CANCELLED,
                outcome="cancelled",
                sentence="Ended.",
                claim=claimed.token,
            )
            return ended or None

        def take_back(pk: int = rollback.pk) -> object:
            return cancel(actor=operator, deployment=Deployment.objects.get(pk=pk))

        said = at_once([end, take_back])
        assert said == {"done": 2}
        assert not Deployment.objects.filter(status__in=ACTIVE).exists()
    assert trail.verify() == []


def test_a_delivery_repeated_a_hundred_times_is_claimed_once(crowd: list[Actor], world: World) -> None:
    row = world.request()
    approve(actor=crowd[0], deployment=row)
    said = at_once((lambda: claim(row.pk)) for _ in range(MANY))
    assert said == {"done": 1, "nothing": MANY - 1}
    row.refresh_from_db()
    assert row.fence == 1
    assert AuditEvent.objects.filter(name="deployment.started").count() == 1


def test_a_deployment_and_a_provisioning_of_its_server_never_run_at_once(
    crowd: list[Actor], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[bool] = []

    def on_the_server(**_: object) -> list[object]:
        beside.append(Deployment.objects.executing().exists())
        return []

    monkeypatch.setattr("deployments.operations.provisioning.provision_server", on_the_server)
    account = BootstrapAccount("root", generate_key("bootstrap")[0])
    server, admin = Server.objects.get(pk=world.servers["production"].pk), world.people["administrator"]
    for _ in range(10):
        asked = ask_for_provisioning(actor=admin, server=server, account=account)
        row = world.request("operator")
        approve(actor=crowd[0], deployment=row)
        at_once([partial(carry_out, number=asked.pk), partial(claim, row.pk)])
        claim(row.pk)
        row.refresh_from_db()
        assert row.status == Status.RUNNING, "once, and never held up for good"
        Deployment.objects.move(row.pk, Status.FAILED)
    assert not any(beside)


def test_consent_to_a_policy_change_is_given_once(crowd: list[Actor], world: World) -> None:
    change = change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
    )
    assert change is not None

    def job(actor: Actor) -> Callable[[], object]:
        return lambda: decide_policy_change(actor=actor, change=change, approve=True)

    said = at_once(job(actor) for actor in crowd[:20])
    assert said["done"] == 1
    assert set(said) <= {"done", "not_waiting", "outdated"}
    assert AuditEvent.objects.filter(name="environment.policy_loosened").count() == 1


def test_secrets_that_are_set_at_once_get_a_version_each(crowd: list[Actor], world: World) -> None:
    Server.objects.update(state=Server.State.ENROLLED)

    def job(value: str) -> Callable[[], object]:
        actor = world.people["administrator"]
        return lambda: set_secret(actor=actor, environment=world.test, name="cytube-password", value=value)

    assert at_once(job(f"value-{number}") for number in range(10)) == {"done": 10}
    versions = Secret.objects.filter(environment=world.test, name="cytube-password").values_list("version", flat=True)
    assert len(set(versions)) == 10
