"""What a plan says that will happen: nothing of roles that no server of the environment has."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from deployments.access.policy import user_actor
from deployments.models import Environment, Release, Server
from deployments.requests.inbox import plan_in_a_line
from deployments.requests.requests import request_deployment
from deployments.requests.reviews import review_of
from deployments.requests.server_plans import server_plans
from deployments.requests.snapshots import take_snapshot
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.fixtures.records import EXAMPLE, stored

WATCHER = """
[roles.monitoring]
units = ["systemd/dice-watcher.service"]

[hooks.before_activate]
role = "monitoring"
command = ["true"]

[hooks.after_activate]
role = "bot"
command = ["true"]
"""
Ready = Callable[[Environment], Server]


@pytest.fixture
def release(db: None, state_dir: Path, tmp_path: Path) -> Release:
    """The example bot with a second role, a unit of it, and a hook of each role."""
    tree = tmp_path / "tree"
    shutil.copytree(EXAMPLE, tree)
    unit = (tree / "systemd/dice-bot.service").read_text()
    (tree / "systemd/dice-watcher.service").write_text(unit.replace("Dice bot", "What watches the dice"))
    with (tree / "deploy.toml").open("a") as file:
        file.write(WATCHER)
    (tree / "VERSION").write_text("1.0.0\n")
    return stored(build_artifact(tree, None, DirectoryWheels(tree), tmp_path / "built"))


@pytest.mark.parametrize(
    ("roles", "units", "left_out"),
    [
        (["bot"], ["dice-bot.service"], "before_activate"),
        (["monitoring"], ["dice-watcher.service"], "after_activate"),
    ],
)
def test_units_and_hooks_of_roles_that_no_server_has_are_in_no_plan(
    roles: list[str], units: list[str], left_out: str, release: Release, ready_server: Ready, admin_user: object
) -> None:
    test = Environment.objects.get(name="test")
    server = ready_server(test)
    server.roles = roles
    server.save()
    snapshot = take_snapshot(environment=test, release=release)
    assert [plan.units for plan in server_plans(release, snapshot)] == [units]
    out = io.StringIO()
    call_command("deploy", "test", "--plan", stdout=out)
    assert f"units that change with it: {', '.join(units)}\n" in out.getvalue()
    assert left_out not in out.getvalue()
    assert plan_in_a_line(snapshot).endswith("; 1 hook")
    actor = user_actor(admin_user)  # type: ignore[arg-type]  # pytest-django's fixture
    review = review_of(
        actor=actor, deployment=request_deployment(actor=actor, environment=test, release=release, reason="why")
    )
    assert [one.units for one in review.servers] == [units]
    assert left_out not in {*review.steps, *(hook.moment for hook in review.hooks)}


def test_a_unit_that_a_server_has_and_the_release_has_no_more_is_in_the_plan(
    release: Release, ready_server: Ready, tmp_path: Path
) -> None:
    test = Environment.objects.get(name="test")
    server = ready_server(test)
    server.roles, server.current_release = ["bot", "monitoring"], release
    server.unit_files = {"dice-bot.service": "1", "dice-watcher.service": "2"}
    server.save()
    tree = tmp_path / "later"
    shutil.copytree(EXAMPLE, tree)
    (tree / "VERSION").write_text("1.0.1\n")
    later = stored(build_artifact(tree, None, DirectoryWheels(tree), tmp_path / "built-later"))
    (plan,) = server_plans(later, take_snapshot(environment=test, release=later))
    assert plan.units == ["dice-watcher.service"]
