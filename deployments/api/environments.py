"""Environments: how each stands, and making, renaming, ordering, retiring and deleting them."""

from collections.abc import Sequence

from django.http import HttpRequest
from ninja import Router, Schema
from ninja import Status as HttpStatus
from pydantic import AwareDatetime, Field

from deployments.api.schemas import EnvironmentOut
from deployments.core import selectors
from deployments.environments import locks, registry
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.limits import READS, WRITES
from deployments.http.paging import EnvironmentName, Name, Text
from deployments.http.problems import answers
from deployments.models import Environment
from deployments.requests.environment_status import EnvironmentStatus, environment_statuses

router = Router(tags=["Environments"], auth=BearerToken())


class EnvironmentIn(Schema):
    """A new environment."""

    application: Name = Field(description="The name in deploy.toml.", examples=["my-bot"])
    name: Name = Field(examples=["staging"])
    approvals_required: int | None = Field(
        None,
        ge=0,
        le=10,
        description="No fewer than the strictest environment of the application; left out: as many.",
        examples=[1],
    )


class Named(Schema):
    """One environment."""

    environment: EnvironmentName = Field(description="NAME, or APPLICATION/NAME.", examples=["my-bot/staging"])


class RenameIn(Named):
    """Its new name."""

    name: Name = Field(examples=["trial"])


class RetireIn(Named):
    """Why it is retired."""

    reason: Text = Field(min_length=1, examples=["The trial is over"])


class UnlockIn(Named):
    """Why it is unlocked."""

    reason: Text = Field(min_length=1, examples=["The exams are over"])


class LockIn(Named):
    """Why it is locked, and until when."""

    reason: Text = Field(min_length=1, examples=["Nothing new during the exams"])
    until: AwareDatetime | None = Field(
        None,
        description="When it ends by itself; left out: when somebody unlocks it.",
        examples=["2026-12-01T09:30:00Z"],
    )


class OrderIn(Schema):
    """Environments of one application, first to last."""

    environments: list[EnvironmentName] = Field(
        min_length=1, max_length=100, examples=[["my-bot/test", "my-bot/staging", "my-bot/production"]]
    )


@router.get("/environments", response=answers({200: list[EnvironmentOut]}), throttle=READS, summary="List environments")
def list_environments(request: HttpRequest) -> list[EnvironmentOut]:
    """Each with what runs there and what is going on."""
    actor = reader(request)
    rows = Environment.objects.defer("configuration", "private_key", "next_private_key")
    if actor.environment_id:
        rows = rows.filter(pk=actor.environment_id)
    return _environments(list(rows))


@router.post(
    "/environments", response=answers({201: EnvironmentOut}, 409), throttle=WRITES, summary="Make an environment"
)
def add_environment(request: HttpRequest, wanted: EnvironmentIn) -> HttpStatus[EnvironmentOut]:
    """It comes after all others, and asks for as many approvals as the strictest of its application."""
    made = registry.add_environment(
        actor=actor_of(request),
        application=wanted.application,
        name=wanted.name,
        approvals=wanted.approvals_required,
    )
    return HttpStatus(201, _environment(made))


@router.post(
    "/environments/rename",
    response=answers({200: EnvironmentOut}, 404, 409),
    throttle=WRITES,
    summary="Rename an environment",
)
def rename_environment(request: HttpRequest, wanted: RenameIn) -> EnvironmentOut:
    """What it ran, its keys, secrets and history stay; what waits for approval there loses its seal."""
    row = selectors.environment_named(wanted.environment)
    return _environment(registry.rename_environment(actor=actor_of(request), environment=row, name=wanted.name))


@router.post(
    "/environments/lock",
    response=answers({200: EnvironmentOut}, 404, 409),
    throttle=WRITES,
    summary="Lock an environment",
)
def lock_environment(request: HttpRequest, wanted: LockIn) -> EnvironmentOut:
    """Deployments and approvals are refused there; going back is not."""
    row = selectors.environment_named(wanted.environment)
    locks.lock_environment(actor=actor_of(request), environment=row, reason=wanted.reason, until=wanted.until)
    return _environment(row)


@router.post(
    "/environments/unlock",
    response=answers({200: EnvironmentOut}, 404, 409),
    throttle=WRITES,
    summary="Unlock an environment",
)
def unlock_environment(request: HttpRequest, wanted: UnlockIn) -> EnvironmentOut:
    """Deployments happen again."""
    row = selectors.environment_named(wanted.environment)
    locks.unlock_environment(actor=actor_of(request), environment=row, reason=wanted.reason)
    return _environment(row)


@router.post(
    "/environments/order",
    response=answers({200: list[EnvironmentOut]}, 404, 409),
    throttle=WRITES,
    summary="Put environments in order",
)
def order_environments(request: HttpRequest, wanted: OrderIn) -> list[EnvironmentOut]:
    """What comes before what when a release is promoted; those that are not named come after."""
    rows = [selectors.environment_named(text) for text in wanted.environments]
    return _environments(registry.order_environments(actor=actor_of(request), environments=rows))


@router.post(
    "/environments/retire",
    response=answers({200: EnvironmentOut}, 404, 409),
    throttle=WRITES,
    summary="Retire an environment",
)
def retire_environment(request: HttpRequest, wanted: RetireIn) -> EnvironmentOut:
    """It is kept for its history alone. Its servers are decommissioned first."""
    row = selectors.environment_named(wanted.environment)
    return _environment(registry.retire_environment(actor=actor_of(request), environment=row, reason=wanted.reason))


@router.post(
    "/environments/delete", response=answers({204: None}, 404, 409), throttle=WRITES, summary="Delete an environment"
)
def delete_environment(request: HttpRequest, wanted: Named) -> HttpStatus[None]:
    """One in which nothing ever ran, with its secrets and tokens."""
    row = selectors.environment_named(wanted.environment)
    registry.delete_environment(actor=actor_of(request), environment=row)
    return HttpStatus(204, None)


def _environments(rows: Sequence[Environment]) -> list[EnvironmentOut]:
    found = environment_statuses(rows)
    return [_described(row, found[row.pk]) for row in rows]


def _environment(row: Environment) -> EnvironmentOut:
    return _environments([row])[0]


def _described(row: Environment, standing: EnvironmentStatus) -> EnvironmentOut:
    live, target, active = standing.live, standing.way_back, standing.active
    return EnvironmentOut(
        name=str(row),
        application=row.application,
        retired=row.retired,
        approvals_required=row.approvals_required,
        releases_from=row.releases_from,
        locked=row.locked,
        lock_reason=row.lock_reason if row.locked else "",
        locked_until=row.lock_until if row.locked else None,
        maintenance_until=standing.maintenance.ends_at if standing.maintenance else None,
        live_release=live.identifier if live else None,
        rollback_target=target.identifier if target else None,
        active_deployment=active.pk if active else None,
    )
