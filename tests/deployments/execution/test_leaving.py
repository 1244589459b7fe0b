"""What only another machine's worker can do is left to it, for a while, and nothing is ended meanwhile."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core import portal_keys
from deployments.execution import claims
from deployments.execution.claims import claim
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment
from deployments.releases.artifacts import contents
from deployments.requests.rollbacks import request_rollback
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


def _half(path: Path) -> None:
    """It is only being copied here."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _begun(path: Path) -> None:
    path.write_bytes(b"")


def _not_its_contents(_path: Path) -> None:
    """Its list of files is here, and what they hold is not, as when that directory is not mounted."""
    shutil.rmtree(contents().directory)


GONE = {"it is not there": Path.unlink, "half of it": _half, "an empty file": _begun, "no contents": _not_its_contents}


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
@pytest.mark.parametrize("kind", [Kind.DEPLOYMENT, Kind.ROLLBACK])
def test_what_only_another_machine_can_do_is_left_to_it_for_a_while(
    world: World, kind: Kind, gone: Callable[[Path], None]
) -> None:
    for release in world.releases:
        world.succeeded(release, "test")
    if kind == Kind.ROLLBACK:
        asked = request_rollback(actor=world.people["operator"], environment=world.test, reason="it hangs")
    else:
        asked = world.request(environment="test")
    gone(Path(asked.release.artifact.path))
    OrmQ.objects.all().delete()
    before = timezone.now()
    assert claim(asked.pk) is None
    (task,) = OrmQ.objects.all()
    assert task.key == ("rescue" if kind == Kind.ROLLBACK else "deploys")
    assert task.lock is not None
    assert task.lock >= before + timedelta(seconds=claims.LEFT_SECONDS)
    Deployment.objects.filter(pk=asked.pk).update(queued_at=timezone.now() - claims.LOOKED_FOR - timedelta(seconds=1))
    assert claim(asked.pk) is None
    asked.refresh_from_db()
    assert (asked.status, asked.outcome) == (Status.SUPERSEDED, "seal_broken")
    assert "For 5 minutes no worker that took it had what it needs. " in asked.sentence
    assert AuditEvent.objects.get(name=f"{kind}.voided").actor == "system:worker"


def test_a_worker_that_began_before_the_newest_key_leaves_it_to_others(world: World, settings: Any) -> None:
    """Another machine was started with the key in front, and may have written secrets with it since."""
    asked = world.request(environment="test")
    own = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *own]
    portal_keys.require_same()
    settings.ENCRYPTION_KEYS, with_it = own, settings.ENCRYPTION_KEYS
    OrmQ.objects.all().delete()
    assert claim(asked.pk) is None
    assert OrmQ.objects.count() == 1
    assert Deployment.objects.values_list("status", flat=True).get(pk=asked.pk) == Status.QUEUED
    settings.ENCRYPTION_KEYS = with_it
    assert claim(asked.pk) is not None
