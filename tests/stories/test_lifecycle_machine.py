"""Whatever people, workers and the reaper do, in whatever order: the invariants hold."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.execution import finish, reaper
from deployments.execution.claims import claim, take_over, take_up
from deployments.lifecycle import ACTIVE, EXECUTING, FINAL, Kind, Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Environment, Release, Target
from deployments.requests.approvals import approve, expire_requests, reject
from deployments.requests.cancellation import cancel
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError

ENVIRONMENTS = ("test", "production")
OUTCOMES = {
    Status.SUCCEEDED: TargetStatus.SUCCEEDED,
    Status.FAILED: TargetStatus.FAILED,
    Status.ROLLED_BACK: TargetStatus.REVERTED,
    Status.INTERRUPTED: TargetStatus.INTERRUPTED,
    Status.CANCELLED: TargetStatus.CANCELLED,
}


class LifecycleMachine(RuleBasedStateMachine):
    """People ask and decide, workers claim and end, tasks come twice, leases run out."""

    releases: list[Release]
    people: dict[str, Actor]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.first_event = trail.head().sequence
        self.ended: dict[int, str] = {}
        self.claims: dict[int, Any] = {}

    def teardown(self) -> None:
        problems = [problem for problem in trail.verify() if problem.sequence > self.first_event]
        transaction.savepoint_rollback(self.savepoint)
        assert problems == []

    @rule(
        environment=st.sampled_from(ENVIRONMENTS),
        release=st.integers(0, 1),
        who=st.sampled_from(("olga", "otto", "vera")),
        reason=st.sampled_from(("", "because")),
        glass=st.booleans(),
    )
    def request(self, environment: str, release: int, who: str, reason: str, glass: bool) -> None:
        with _expected():
            request_deployment(
                actor=self.people[who],
                release=Release.objects.get(pk=self.releases[release].pk),
                environment=Environment.objects.get(name=environment),
                reason=reason,
                break_glass=glass,
            )

    @rule(environment=st.sampled_from(ENVIRONMENTS), times=st.integers(1, 4))
    def go_on_as_usual(self, environment: str, times: int) -> None:
        """What mostly happens: asked, approved, claimed, ended. Chance alone hardly gets beyond a request."""
        for _ in range(times):
            self._usual_step(Environment.objects.get(name=environment))

    def _usual_step(self, environment: Environment) -> None:
        rows = Deployment.objects.filter(environment=environment)
        if executing := rows.filter(status__in=EXECUTING).first():
            self._end(executing, Status.SUCCEEDED)
        elif queued := rows.filter(status=Status.QUEUED).first():
            self._claim(queued)
        elif waiting := rows.filter(status=Status.AWAITING_APPROVAL, kind=Kind.DEPLOYMENT).first():
            with _expected():
                approve(actor=self.people["anna"], deployment=waiting)
        else:
            with _expected():
                number = rows.count() % len(self.releases)
                release = Release.objects.get(pk=self.releases[number].pk)
                olga = self.people["olga"]
                request_deployment(actor=olga, release=release, environment=environment, reason="usual")

    @precondition(lambda self: Deployment.objects.exists())
    @rule(pick=st.integers(0, 5), who=st.sampled_from(("olga", "anna", "arno", "otto")), yes=st.booleans())
    def decide(self, pick: int, who: str, yes: bool) -> None:
        deployment = _pick(pick)
        with _expected():
            if yes:
                approve(actor=self.people[who], deployment=deployment)
                assert who != deployment.requested_by, "nobody approves what they asked for"
            else:
                reject(actor=self.people[who], deployment=deployment, comment="no")

    @precondition(lambda self: Deployment.objects.exists())
    @rule(pick=st.integers(0, 5), who=st.sampled_from(("olga", "vera")))
    def cancel(self, pick: int, who: str) -> None:
        with _expected():
            cancel(actor=self.people[who], deployment=_pick(pick))

    @precondition(lambda self: Deployment.objects.exists())
    @rule(pick=st.integers(0, 5))
    def claim_or_redeliver(self, pick: int) -> None:
        self._claim(_pick(pick))

    def _claim(self, deployment: Deployment) -> None:
        was = deployment.status
        claimed = claim(deployment.pk)
        assert (claimed is not None) <= (was == Status.QUEUED), "only a queued deployment can be claimed"
        if claimed is not None:
            assert deployment.pk not in self.claims, "nothing is claimed twice"
            self.claims[deployment.pk] = claimed.token

    @precondition(lambda self: Deployment.objects.filter(status__in=EXECUTING).exists())
    @rule(status=st.sampled_from(sorted(OUTCOMES)))
    def end(self, status: str) -> None:
        self._end(Deployment.objects.filter(status__in=EXECUTING)[0], Status(status))

    def _end(self, deployment: Deployment, status: Status) -> None:
        Target.objects.filter(deployment=deployment).update(status=OUTCOMES[status])
        assert finish.finish(
            actor=system_actor("worker"),
            deployment=deployment,
            status=status,
            outcome="tested",
            sentence="It ended.",
            claim=deployment.claim,
        )

    @precondition(lambda self: bool(self.claims))
    @rule(pick=st.integers(0, 5), status=st.sampled_from(sorted(OUTCOMES)))
    def a_stale_worker_writes(self, pick: int, status: str) -> None:
        number = sorted(self.claims)[pick % len(self.claims)]
        deployment = Deployment.objects.get(pk=number)
        if deployment.claim == self.claims[number] and deployment.status in EXECUTING:
            return  # not stale
        assert not finish.finish(
            actor=system_actor("worker"),
            deployment=deployment,
            status=Status(status),
            outcome="stale",
            sentence="",
            claim=self.claims[number],
        ), "a worker that lost its claim writes nothing"

    @precondition(lambda self: Deployment.objects.filter(status__in=EXECUTING).exists())
    @rule(expired=st.booleans())
    def take_over(self, expired: bool) -> None:
        deployment = Deployment.objects.filter(status__in=EXECUTING)[0]
        if expired:
            Deployment.objects.filter(pk=deployment.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        claimed = take_over(deployment)
        assert (claimed is not None) == expired, "only a lease that has run out is taken over"

    @precondition(lambda self: Deployment.objects.filter(status=Status.INTERRUPTED).exists())
    @rule(held=st.booleans(), status=st.sampled_from(sorted(set(OUTCOMES) - {Status.INTERRUPTED})))
    def complete(self, held: bool, status: str) -> None:
        """The server of an interrupted deployment tells at last; only who has taken it up may write that."""
        deployment = Deployment.objects.filter(status=Status.INTERRUPTED)[0]
        taken = take_up(deployment) if held else None
        written = finish.finish(
            actor=system_actor("reaper"),
            deployment=deployment,
            status=Status(status),
            outcome="completed",
            sentence="It told.",
            claim=taken.token if taken else uuid.uuid4(),
            late=True,
        )
        assert written == held
        if written:
            self.ended[deployment.pk] = status

    @rule()
    def reap_the_queue(self) -> None:
        Deployment.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - timedelta(minutes=5))
        reaper._queue_again()

    @rule()
    def expire(self) -> None:
        expire_requests(actor=system_actor("schedule"), now=timezone.now() + timedelta(hours=25))

    @rule(environment=st.sampled_from(ENVIRONMENTS), reason=st.sampled_from(("", "it broke")))
    def roll_back(self, environment: str, reason: str) -> None:
        with _expected():
            request_rollback(
                actor=self.people["olga"], environment=Environment.objects.get(name=environment), reason=reason
            )

    @invariant()
    def one_active_per_environment(self) -> None:
        for environment in Environment.objects.all():
            assert Deployment.objects.filter(environment=environment, status__in=ACTIVE).count() <= 1

    @invariant()
    def what_has_ended_stays_as_it_ended(self) -> None:
        for deployment in Deployment.objects.filter(status__in=FINAL):
            assert self.ended.setdefault(deployment.pk, deployment.status) == deployment.status
            assert deployment.finished_at is not None

    @invariant()
    def everything_is_in_the_audit_trail(self) -> None:
        for deployment in Deployment.objects.all():
            told = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}").values_list("name", flat=True)
            assert {f"{deployment.kind}.requested", "deployment.break_glass"} & set(told)
            if deployment.status in FINAL:
                assert len(told) >= 2, f"{deployment.status} was not recorded"

    @invariant()
    def production_runs_nothing_that_nobody_approved(self) -> None:
        for deployment in Deployment.objects.filter(
            environment__name="production", kind=Kind.DEPLOYMENT, break_glass=False, started_at__isnull=False
        ):
            assert deployment.approvals.filter(decision="approved", seal=deployment.seal).exists()

    @invariant()
    def every_fence_is_new(self) -> None:
        for environment in Environment.objects.all():
            fences = list(
                Deployment.objects.filter(environment=environment)
                .exclude(fence=None)
                .order_by("started_at", "id")
                .values_list("fence", flat=True)
            )
            assert len(fences) == len(set(fences))


class _expected:
    """Refusals are part of life; anything else is a failure."""

    def __enter__(self) -> None:
        self._savepoint = transaction.savepoint()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        return isinstance(error, PortalError)


def _pick(number: int) -> Deployment:
    rows = Deployment.objects.order_by("-id")
    return rows[number % rows.count()]


def run_machine(examples: int, make_release: Any, make_person: Any, ready_server: Any) -> None:
    """Run the machine `examples` times on fresh records."""
    for name in ENVIRONMENTS:
        ready_server(Environment.objects.get(name=name))
    LifecycleMachine.releases = [make_release("1.0.0"), make_release("1.0.1")]
    LifecycleMachine.people = {
        "olga": make_person("olga", "operator"),
        "otto": make_person("otto", "operator", "approver"),
        "vera": make_person("vera", "viewer"),
        "anna": make_person("anna", "approver"),
        "arno": make_person("arno", superuser=True),
    }
    run_state_machine_as_test(
        LifecycleMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_invariants_hold_in_any_order(make_release: Any, make_person: Any, ready_server: Any) -> None:
    run_machine(70, make_release, make_person, ready_server)


@pytest.mark.full
def test_the_invariants_hold_in_any_order_at_full_size(make_release: Any, make_person: Any, ready_server: Any) -> None:
    run_machine(5000, make_release, make_person, ready_server)
