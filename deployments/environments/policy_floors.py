"""How little an environment may ask for when it gets a name: no less than its application's strictest.

Else a new environment beside a protected one, or an old one under another name, would be a way round the second person
who agrees to a loosening (`environments.policies`). Retired ones count, and those that belong to no application yet.
"""

from typing import Any

from django.db.models import QuerySet

from deployments.models import Environment
from deployments.releases.origin import STRICTNESS, From
from engine.errors import InvalidRequest

Policy = dict[str, Any]
MAX_APPROVALS = 10
LOOSEST: Policy = {
    "approvals_required": 0,
    "approval_hours": 24,
    "signed_approvals": False,
    "max_failures": 0,
    "releases_from": From.VERSIONS,
}


def floor_of(application: str, *, besides: Environment | None = None) -> Policy:
    """The least that an environment of `application` may ask for when it is made or renamed.

    One that belongs to none yet may come to belong to any.
    """
    rows = Environment.objects.filter(application__in={application, ""}) if application else Environment.objects.all()
    return _strictest(rows.exclude(pk=besides.pk) if besides else rows)


def first_policy(application: str, approvals: int | None) -> Policy:
    """What a new environment asks for: `approvals`, else as much as any other of its application.

    The first one of an application asks for as much as any here, unless `approvals` says otherwise. Raises
    InvalidRequest below the floor, and for a number that cannot be.
    """
    check_approvals(0 if approvals is None else approvals)
    known = Environment.objects.filter(application=application).exists()
    floor = floor_of(application) if known else dict(LOOSEST)
    if approvals is None:
        return floor if known else _strictest(Environment.objects.all())
    if approvals < floor["approvals_required"]:
        raise InvalidRequest(
            f"An environment of {application} asks for {floor['approvals_required']} approvals at first, as its "
            "strictest one does.",
            hint="Make it so, then ask for a change of its policy: a second person agrees to it.",
            reason="below_floor",
        )
    return {**floor, "approvals_required": approvals}


def check_approvals(number: int) -> None:
    """Raise InvalidRequest for a number that no environment can ask for."""
    if not 0 <= number <= MAX_APPROVALS:
        raise InvalidRequest(f"An environment asks for 0 to {MAX_APPROVALS} approvals.")


def raised(environment: Environment, floor: Policy) -> Policy:
    """The fields of its policy that are looser than `floor`, with the floor's values."""
    now = {name: getattr(environment, name) for name in floor}
    needed: Policy = {}
    if now["approvals_required"] < floor["approvals_required"]:
        needed["approvals_required"] = floor["approvals_required"]
    if floor["approvals_required"] and now["approval_hours"] > floor["approval_hours"]:
        needed["approval_hours"] = floor["approval_hours"]
    if floor["approvals_required"] and now["max_failures"] > floor["max_failures"]:
        needed["max_failures"] = floor["max_failures"]
    if floor["signed_approvals"] and not now["signed_approvals"]:
        needed["signed_approvals"] = True
    if floor["approvals_required"] and STRICTNESS[now["releases_from"]] < STRICTNESS[floor["releases_from"]]:
        needed["releases_from"] = floor["releases_from"]
    return needed


def _strictest(rows: QuerySet[Environment]) -> Policy:
    protected = [row for row in rows if row.protected]
    if not protected:
        return dict(LOOSEST)
    return {
        "approvals_required": max(row.approvals_required for row in protected),
        "approval_hours": min(row.approval_hours for row in protected),
        "signed_approvals": any(row.signed_approvals for row in protected),
        "max_failures": min(row.max_failures for row in protected),
        "releases_from": max((row.releases_from for row in protected), key=STRICTNESS.__getitem__),
    }
