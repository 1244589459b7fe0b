"""Two portals, or a portal and its own past, against one server: they cannot interleave."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F

from deployments.audit import trail
from deployments.execution.reaper import reap
from deployments.lifecycle import Status
from deployments.models import Environment
from tests.fixtures.fleet import Fleet
from tests.stories.running import GO, HOLD, go_on, held, in_background, no_rehearsals, rehearse, runs, wait_for
from tests.stories.world import ROOT

pytestmark = pytest.mark.hosts


class CopiedPortal:
    """A portal that was restored from a copy of this one: same keys, same servers, numbers that go on as ours do."""

    def __init__(self, directory: Path) -> None:
        self._database = directory / "copy.sqlite3"
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(self._database)])
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PORTAL_STATE_DIR": str(directory),
            "PORTAL_SECRET_KEY": settings.SECRET_KEY,
            "PORTAL_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "DATABASE_URL": f"sqlite:///{self._database}",
        }

    def raise_fences(self) -> None:
        """What restoring from a backup includes."""
        code = "from deployments.models import Environment as E; from django.db.models import F; "
        self._run("shell", "-c", code + "E.objects.update(fence=F('fence') + 100)")

    def manage(self, *arguments: str) -> dict[str, Any]:
        """What a command says as JSON."""
        said: dict[str, Any] = json.loads(self._run(*arguments, "--json"))
        return said

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=170, check=False
        )
        return done.stdout or done.stderr


@pytest.fixture
def good(fleet: Fleet) -> str:
    """The release that runs; a second one has been built."""
    fleet.enrol()
    release = fleet.release("1.0.0")
    assert fleet.deploy(release).status == Status.SUCCEEDED
    fleet.release("1.0.1")
    return release.identifier


def test_while_one_portal_deploys_the_other_is_refused(fleet: Fleet, good: str, tmp_path: Path) -> None:
    copy = CopiedPortal(tmp_path)
    copy.raise_fences()
    machine = fleet.machines[0]
    rehearse(machine, "restart", GO)
    ours = fleet.request(fleet.release("1.0.2"))
    with in_background(ours):
        wait_for(lambda: held(ours), "the restart to begin")
        theirs = copy.manage("deploy", "test", "--release", "1.0.1", "--inline")
        assert (theirs["status"], theirs["outcome"]) == ("failed", "host_locked"), theirs
        assert "has been running on this server since" in theirs["sentence"]
        go_on(machine)
    assert ours.status == Status.SUCCEEDED, ours.sentence
    assert runs(machine) == fleet.current() == ours.release.identifier
    assert trail.verify() == []


def test_a_rollback_of_the_other_portal_takes_over_and_both_records_are_true(
    fleet: Fleet, good: str, tmp_path: Path
) -> None:
    copy = CopiedPortal(tmp_path)
    copy.raise_fences()
    machine = fleet.machines[0]
    rehearse(machine, "verify", HOLD)
    ours = fleet.request(fleet.release("1.0.2"))
    with in_background(ours):
        wait_for(lambda: held(ours), "the verification to begin")
        no_rehearsals(machine)
        theirs = copy.manage("rollback", "test", "--to", "1.0.0", "--reason", "it smells", "--inline")
    assert theirs["status"] == "succeeded", theirs
    assert (ours.status, ours.outcome) == (Status.CANCELLED, "taken_over"), ours.sentence
    assert runs(machine) == fleet.current() == good


def test_a_restored_portal_changes_nothing_until_its_fences_are_raised(fleet: Fleet, good: str, tmp_path: Path) -> None:
    copy = CopiedPortal(tmp_path)
    fleet.deploy(fleet.release("1.0.2"))
    ours = fleet.deploy(fleet.release("1.0.3"))
    theirs = copy.manage("deploy", "test", "--release", "1.0.1", "--inline")
    assert (theirs["status"], theirs["outcome"]) == ("failed", "fence_outdated"), theirs
    assert "restored from a backup" in theirs["sentence"]
    assert fleet.current() == ours.release.identifier


def test_a_number_given_twice_is_not_taken_for_the_earlier_run(fleet: Fleet, good: str, tmp_path: Path) -> None:
    """A restored portal gives a number again that the server's journal knows; the line is cut before it begins."""
    copy = CopiedPortal(tmp_path)
    copy.raise_fences()
    theirs = copy.manage("deploy", "test", "--release", "1.0.1", "--inline")
    assert theirs["status"] == "succeeded", theirs
    Environment.objects.filter(name="test").update(fence=F("fence") + 1000)
    ours = fleet.request(fleet.release("1.0.2"))
    assert ours.pk == theirs["deployment"]
    from deployments.execution import claims, host_inquiry
    from deployments.models import Deployment

    claimed = claims.claim(ours.pk)
    assert claimed is not None
    fence = claimed.deployment.fence
    claimed.deployment.targets.update(status="running", facts={host_inquiry.RUN_FENCE: fence})
    claims.hand_over(claimed)
    assert reap() == [ours.pk]
    ended = Deployment.objects.get(pk=ours.pk)
    assert (ended.status, ended.outcome) == (Status.FAILED, "not_started"), ended.sentence
    assert fleet.current() == theirs["release"], "what the other one deployed was not undone"
