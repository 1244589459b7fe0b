"""Which environments there are: made, renamed, put in order, retired, deleted where nothing ever ran.

A name is no policy: whatever gets one asks for as much as its application's strictest (`environments.floors`), so that
none of these is a way round a second person. What ran, keys, secrets and history belong to the record, and stay.
"""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.applications import mark_shared, refuse_name_taken
from deployments.environments.guards import refuse_busy
from deployments.environments.policy_floors import first_policy, floor_of, raised
from deployments.models import Application, Deployment, Environment, Server
from deployments.notifications.messages import notify_environment
from engine.errors import Conflict, InvalidRequest


@transaction.atomic
def add_environment(*, actor: Actor, application: str, name: str, approvals: int | None = None) -> Environment:
    """Make an environment of `application`, after all others. `approvals` is no less than its strictest one's.

    Raises NotAllowed, InvalidRequest (a name, the policy), Conflict (the name is taken).
    """
    require(actor, Verb.MANAGE_ENVIRONMENTS, application=application)
    refuse_name_taken(application, name)
    last = Environment.objects.aggregate(last=Max("order"))["last"]
    order = 0 if last is None else last + 1
    made = Environment(name=name, application=application, order=order, **first_policy(application, approvals))
    _check(Application(name=application), made)
    Application.objects.get_or_create(name=application)
    made.save()
    mark_shared(name)
    made.refresh_from_db()
    _record(actor, made, "made", application=application, approvals_required=made.approvals_required)
    return made


@transaction.atomic
def rename_environment(*, actor: Actor, environment: Environment, name: str) -> Environment:
    """Give it another name; it then asks for no less than its application's strictest.

    What waits for approval there loses its seal, which names the environment. Raises NotAllowed, InvalidRequest,
    Conflict, EnvironmentBusy.
    """
    require(actor, Verb.MANAGE_ENVIRONMENTS, environment)
    locked = locked_environment(environment.pk)
    require(actor, Verb.MANAGE_ENVIRONMENTS, locked)
    refuse_busy(locked)
    if name == locked.name:
        raise InvalidRequest(f"{locked} has that name.", reason="no_change")
    if locked.application:
        refuse_name_taken(locked.application, name)
    before, policy = str(locked), raised(locked, floor_of(locked.application))
    locked.former_names = [each for each in locked.names if each != name]
    locked.name = name
    for field, value in policy.items():
        setattr(locked, field, value)
    _check(locked)
    locked.save(update_fields=["name", "former_names", *policy])
    mark_shared(locked.former_names[0], name)
    environment.refresh_from_db()
    _record(actor, environment, "renamed", before=before, after=str(environment), tightened=policy)
    lines = [f"Its policy is tightened: {', '.join(policy)}."] if policy else []
    notify_environment(environment, "policy", what=f"renamed by {actor}, it was {before}", lines=lines)
    return environment


@transaction.atomic
def order_environments(*, actor: Actor, environments: Sequence[Environment]) -> list[Environment]:
    """Put environments of one application into this order, the others of it after them, without moving other
    applications'. The order says what comes before what when a release is promoted. Raises NotAllowed, InvalidRequest.
    """
    if len({row.application for row in environments}) != 1 or len({row.pk for row in environments}) != len(
        environments
    ):
        raise InvalidRequest("Name environments of one application, each once.")
    others = Environment.objects.filter(application=environments[0].application).exclude(
        pk__in=[row.pk for row in environments]
    )
    wanted = [*environments, *others]
    for row in wanted:
        require(actor, Verb.MANAGE_ENVIRONMENTS, row)
    places: list[int] = []
    for place in sorted(row.order for row in wanted):
        places.append(max(place, places[-1] + 1) if places else place)
    for row, place in zip(wanted, places, strict=True):
        before = locked_environment(row.pk).order
        if before != place:
            Environment.objects.filter(pk=row.pk).update(order=place)
            row.refresh_from_db()
            _record(actor, row, "configured", changes={"order": [before, place]})
    return wanted


@transaction.atomic
def retire_environment(*, actor: Actor, environment: Environment, reason: str) -> Environment:
    """Keep it for its history alone: nothing is deployed or enrolled there any more, and its name stays taken.

    Raises NotAllowed, InvalidRequest (no reason), Conflict (servers in service, retired already), EnvironmentBusy.
    """
    require(actor, Verb.MANAGE_ENVIRONMENTS, environment)
    if not reason.strip():
        raise InvalidRequest(
            "Retiring an environment needs a reason.", hint="Say why, for those who look for it.", reason="no_reason"
        )
    reason = checked(reason)
    locked = locked_environment(environment.pk)
    require(actor, Verb.MANAGE_ENVIRONMENTS, locked)
    if locked.retired:
        raise Conflict(f"{locked} is retired already.", reason="already_retired")
    refuse_busy(locked)
    if used := [server.name for server in locked.servers.exclude(state=Server.State.RETIRED)]:
        raise Conflict(
            f"{locked} has servers in service: {', '.join(used)}.",
            hint=f"Decommission them first: `manage.py decommission {used[0]}`.",
            reason="servers_in_service",
        )
    locked.retired_at = timezone.now()
    locked.save(update_fields=["retired_at"])
    _record(actor, locked, "retired", reason=reason)
    notify_environment(locked, "locked", what=f"retired by {actor}", lines=[reason])
    environment.refresh_from_db()
    return environment


@transaction.atomic
def delete_environment(*, actor: Actor, environment: Environment) -> None:
    """Delete an environment in which nothing ever ran, with its secrets and tokens.

    Raises NotAllowed, Conflict where there are records of it, or where its application would ask for less without it.
    """
    require(actor, Verb.MANAGE_ENVIRONMENTS, environment)
    locked = locked_environment(environment.pk)
    require(actor, Verb.MANAGE_ENVIRONMENTS, locked)
    if Deployment.objects.filter(environment=locked).exists() or locked.servers.exists():
        raise Conflict(
            f"{locked} has a history: its deployments and servers are on record.",
            hint=f"`manage.py environments retire {locked}` keeps it for that alone.",
            reason="has_history",
        )
    beside = Environment.objects.filter(application=locked.application).exclude(pk=locked.pk)
    if (beside.exists() or not locked.application) and floor_of(locked.application) != floor_of(
        locked.application, besides=locked
    ):
        raise Conflict(
            f"{locked} is what makes other environments of its application ask for approval.",
            hint="Ask for a change of its policy first: a second person agrees to it.",
            reason="lowers_floor",
        )
    _record(actor, locked, "deleted", application=locked.application)
    name = locked.name
    locked.delete()
    mark_shared(name)


def _check(*rows: Any) -> None:
    try:
        for row in rows:
            row.clean_fields(exclude=["private_key", "next_private_key"])
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was changed.", reason="bad_name") from error


def _record(actor: Actor, row: Environment, what: str, **data: Any) -> None:
    trail.record(actor=actor, name=f"environment.{what}", subject=f"environment:{row}", environment=row, data=data)
