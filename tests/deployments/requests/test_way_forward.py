"""After a rollback it is said what is deployed next, and how the release that was left leaves quarantine."""

import re
import shlex

from django.contrib.auth.models import User
from django.test import Client

from deployments.models import Deployment, Release
from deployments.requests.rollbacks import request_rollback
from deployments.requests.way_forward import way_forward
from tests.deployments.drills.test_drills import carry_out
from tests.deployments.execution.conftest import Scene, releases, scene
from tests.deployments.requests.test_quarantine import back, lived_in
from tests.deployments.world import World
from tests.fixtures.records import MakeRelease
from tests.stories.saying import said

__all__ = ["lived_in", "releases", "scene"]


def command_in(told: str, of: str) -> list[str]:
    """The command that stands in a sentence, as words."""
    (found,) = re.findall(rf"`manage\.py ({of}[^`]*)`", told)
    return shlex.split(found)


def test_the_command_says_the_way_forward_and_what_it_says_works(scene: Scene) -> None:
    scene.deploy(0)
    scene.deploy(1)
    bad = scene.releases[1]
    code, told = said("rollback", str(scene.home), "--reason", "it is bad", "--inline")
    assert code == 0, told
    assert f"{bad} is in quarantine: nobody goes back to it" in told
    assert "Next: mend it, and build a release" in told
    rollback = Deployment.objects.latest("pk")
    reader = Client()
    reader.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    assert f"{bad} is in quarantine" in reader.get(f"/deployments/{rollback.pk}/").content.decode()

    code, passed_over = said("deploy", str(scene.home), "--plan")
    assert f"{bad} is passed over: it is in quarantine (it is bad)" in passed_over
    code, told = said(*command_in(told, rf"deploy {scene.home} --release"), "--inline")
    assert code == 0, told
    assert scene.runs() == {"one": "2.0.0", "two": "2.0.0"}
    assert not Release.objects.get(pk=bad.pk).quarantined
    assert way_forward(Deployment.objects.get(pk=rollback.pk)) == []
    assert "quarantine" not in reader.get(f"/deployments/{rollback.pk}/").content.decode()


def test_a_newer_release_is_named_as_the_next(lived_in: World, make_release: MakeRelease) -> None:
    newer = make_release("9.0.0")
    row = back(lived_in, "test")
    assert f"Next: `manage.py deploy test` takes {newer}." in way_forward(row)


def test_nothing_is_said_once_something_else_runs_or_of_a_drill(lived_in: World, make_release: MakeRelease) -> None:
    row = back(lived_in, "test")
    assert len(way_forward(row)) == 3
    Deployment.objects.filter(pk=row.pk).update(drill=True)
    assert way_forward(Deployment.objects.get(pk=row.pk)) == []
    Deployment.objects.filter(pk=row.pk).update(drill=False)
    lived_in.succeeded(make_release("9.0.0"), "test")
    assert way_forward(Deployment.objects.get(pk=row.pk)) == []


def test_a_rollback_that_waits_says_nothing(lived_in: World) -> None:
    row = request_rollback(actor=lived_in.people["operator"], environment=lived_in.test, reason="bad")
    assert way_forward(row) == []
    assert way_forward(carry_out(row)) != []
