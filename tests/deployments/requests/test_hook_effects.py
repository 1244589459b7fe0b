"""What a rollback leaves as it is, said before it begins: what hooks did since, and what has no way back."""

from typing import Any

import pytest

from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.hook_effects import left_behind, no_way_back
from deployments.snapshot import SealedHook
from tests.deployments.world import World


def hook(moment: str, *command: str, back: tuple[str, ...] = ()) -> SealedHook:
    return SealedHook(moment=moment, role="bot", command=command or ("migrate",), back=back)


def ran(world: World, release: Release, *hooks: SealedHook, environment: str = "production", **fields: Any) -> None:
    row = world.succeeded(release, environment)
    row.snapshot["plan"]["hooks"] = [each.model_dump(mode="json") for each in hooks]
    row.save()
    Deployment.objects.filter(pk=row.pk).update(**fields)


def test_every_hook_that_ran_after_a_release_is_told_once_and_that_nothing_takes_it_back(world: World) -> None:
    old, new = world.releases
    ran(world, new, hook("before_activate", "too", "early"))
    ran(world, old, hook("before_activate", "its", "own"))
    hooks = (hook("before_activate", "migrate", "up"), hook("after_activate", "warm up"), hook("after_success", "tell"))
    for _ in range(2):
        ran(world, new, *hooks)
    assert left_behind(world.production, old) == [
        f"{new} had `migrate up` run (before_activate).",
        f"{new} had `'warm up'` run (after_activate).",
        f"A rollback runs no hook, and no way back: {old} meets the data as they are now.",
    ]


@pytest.mark.parametrize("other", ["elsewhere", "failed", "a rollback", "its own", "harmless"])
def test_what_changed_nothing_here_since_is_not_told(world: World, other: str) -> None:
    old, new = world.releases
    ran(world, old)
    migrate = hook("before_activate")
    if other == "elsewhere":
        ran(world, new, migrate, environment="test")
    if other == "failed":
        ran(world, new, migrate, status=Status.FAILED)
    if other == "a rollback":
        ran(world, new, migrate, kind="rollback")
    if other == "its own":
        ran(world, old, migrate)
    if other == "harmless":
        ran(world, new, hook("after_success"))
    assert left_behind(world.production, old) == []


def test_a_release_that_never_succeeded_here_leaves_nothing(world: World) -> None:
    ran(world, world.releases[1], hook("before_activate"))
    assert left_behind(Environment.objects.get(name="production"), world.releases[0]) == []


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ((), ""),
        ((hook("after_success"),), ""),
        ((hook("before_activate", back=("undo",)),), ""),
        (
            (hook("before_activate"), hook("after_activate", back=("undo",))),
            "What its hooks do cannot be taken back: before_activate names no way back.",
        ),
        (
            (hook("before_activate"), hook("after_activate")),
            "What its hooks do cannot be taken back: before_activate and after_activate name no way back.",
        ),
    ],
)
def test_an_approver_reads_which_hooks_cannot_be_taken_back(hooks: tuple[SealedHook, ...], said: str) -> None:
    assert no_way_back(hooks) == said
