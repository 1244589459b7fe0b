"""What waits for approval, as one person sees it: what each request would do, and why they may not decide about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.access.four_eyes import refuse_same_person
from deployments.access.policy import refusal
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.texts import plural
from deployments.models import Approval, Deployment, Environment
from deployments.requests.release_records import ReleaseRecord, records_of
from deployments.snapshot import Snapshot
from engine.errors import NotAllowed, PortalError

MOST = 50
_NAMED = 3


@dataclass(frozen=True)
class Waiting:
    """A request that waits. `why_not` is a sentence; empty where this person may decide about it."""

    deployment: Deployment
    record: ReleaseRecord
    plan: str
    given: int
    needed: int
    why_not: str


def inbox(actor: Actor, environment: Environment | None = None) -> list[Waiting]:
    """The requests that wait longest, of all or of one environment.

    As many queries as there are people who asked, not as there are requests.
    """
    waiting = selectors.waiting_requests().prefetch_related("approvals")
    rows = list((waiting.filter(environment=environment) if environment else waiting)[:MOST])
    records = {record.release.pk: record for record in records_of({row.release for row in rows})}
    own = {asked: _behind(actor, asked) for asked in {row.requested_by for row in rows}}
    return [_waiting(row, records[row.release_id], own[row.requested_by], actor) for row in rows]


def _waiting(row: Deployment, record: ReleaseRecord, own: str, actor: Actor) -> Waiting:
    approved = {each.actor for each in row.approvals.all() if each.decision == Approval.Decision.APPROVED}
    why_not = own or ("You approved it already." if actor.identity in approved else "")
    if refused := refusal(actor, Verb.APPROVE, row.environment):
        lacking = not actor.roles & Verb.APPROVE.rule.roles
        why_not = "You may not approve: that takes the role approver." if lacking else refused[0]
    try:
        plan, needed = plan_in_a_line(row.sealed), row.sealed.policy.approvals_required
    except PortalError as error:
        plan, needed = str(error), row.environment.approvals_required
    return Waiting(row, record, plan, len(approved), needed, why_not)


def plan_in_a_line(sealed: Snapshot) -> str:
    """`prod-1, prod-2: from 1.0.0; 2 hooks`."""
    names: Sequence[str] = [target.server for target in sealed.targets]
    where = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    bases = {target.base.release if target.base else "" for target in sealed.targets}
    if bases == {""}:
        before = "the first release there"
    else:
        base = bases.pop() if len(bases) == 1 else "several releases"
        before = f"from {base.rpartition('-')[0] or base}"
    run = sealed.carried_out.hooks
    hooks = f"; {plural(len(run), 'hook')}" if run else ""
    return f"{where}: {before}{hooks}"


def _behind(actor: Actor, requested_by: str) -> str:
    """Why this person is not the second one; empty where they are."""
    try:
        refuse_same_person(actor, requested_by, what="a deployment")
    except NotAllowed as refused:
        return str(refused.message)
    return ""
