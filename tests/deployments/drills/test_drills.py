"""A drill is a rehearsal: it leaves real records, and counts as no rollback that anybody has to look at."""

from importlib import import_module

import pytest
from django.apps import apps

from dashboard.metrics import PortalCollector
from deployments.core.actors import system_actor
from deployments.drills.drills import drill_rollback
from deployments.execution.claims import claim
from deployments.execution.finish import finish
from deployments.lifecycle import Status
from deployments.models import Deployment
from deployments.requests.rollbacks import request_rollback
from tests.deployments.world import World

ENDED = "portal_deployment_last_end_timestamp_seconds"
LASTED = "portal_deployment_last_duration_seconds"


def carry_out(deployment: Deployment) -> Deployment:
    """Bring a queued deployment to its end, as the records show it."""
    claimed = claim(deployment.pk)
    assert claimed is not None
    deployment.targets.update(status="succeeded")
    finish(
        actor=system_actor("tests"),
        deployment=claimed.deployment,
        status=Status.SUCCEEDED,
        outcome="succeeded",
        sentence="It runs.",
        claim=claimed.token,
    )
    deployment.environment.servers.update(current_release=deployment.release)
    deployment.refresh_from_db()
    return deployment


def exported(name: str) -> set[tuple[str, ...]]:
    """The labels of every series of one metric."""
    return {
        tuple(sample.labels[label] for label in ("environment", "kind", "status") if label in sample.labels)
        for family in PortalCollector().collect()
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def lived_in(world: World) -> World:
    """Both environments have run both releases."""
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    return world


def test_both_ways_of_a_drill_are_marked_and_a_real_rollback_is_not(lived_in: World) -> None:
    operator = lived_in.people["operator"]
    held = drill_rollback(actor=operator, environment=lived_in.test, carry_out=carry_out)
    assert held.passed, held.problems
    assert list(Deployment.objects.filter(drill=True).values_list("environment__name", "reason").order_by("pk")) == [
        ("test", "rollback drill, back"),
        ("test", "rollback drill, forward"),
    ]
    real = request_rollback(actor=operator, environment=lived_in.production, reason="it hangs")
    assert not real.drill


def test_a_drill_has_metrics_of_its_own_that_no_alert_reads(lived_in: World) -> None:
    operator = lived_in.people["operator"]
    lasted = exported(LASTED)
    drill_rollback(actor=operator, environment=lived_in.test, carry_out=carry_out)
    assert exported(ENDED) == {
        ("test", "deployment", "succeeded"),
        ("test", "drill", "succeeded"),
        ("production", "deployment", "succeeded"),
    }
    assert exported(LASTED) == lasted, "how long a drill took says nothing about deployments or rollbacks"
    carry_out(request_rollback(actor=operator, environment=lived_in.production, reason="it hangs"))
    assert ("production", "rollback", "succeeded") in exported(ENDED)
    assert ("production", "rollback") in exported(LASTED)


def test_an_upgrade_marks_the_drills_of_before(lived_in: World) -> None:
    drill_rollback(actor=lived_in.people["operator"], environment=lived_in.test, carry_out=carry_out)
    real = request_rollback(
        actor=lived_in.people["operator"], environment=lived_in.production, reason="as in the rollback drill, back"
    )
    Deployment.objects.update(drill=False)
    import_module("deployments.migrations.0009_drills").mark_earlier(apps, None)
    assert Deployment.objects.filter(drill=True).count() == 2
    real.refresh_from_db()
    assert not real.drill
