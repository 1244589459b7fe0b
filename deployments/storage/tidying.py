"""Letting go of what nothing needs: artifacts, contents, wheels, old logs and notifications, tasks that failed.

Records, seals, approvals and the audit trail are never touched. Whatever is interrupted goes on the next night.
"""

import logging
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor
from deployments.lifecycle import Status
from deployments.models import Deployment, LogLine, NotificationDelivery, Release
from deployments.notifications import subscribers
from deployments.releases.artifacts import contents
from deployments.storage import artifacts, needs
from engine.artifacts.errors import ArtifactCorrupt

logger = logging.getLogger(__name__)
PRUNED = "pruned"
"""The step of the line that is left of a log."""


@dataclass
class Tidied:
    """What has gone, or would: `bytes` of disk without the database's, `releases` whose artifact went."""

    taken_apart: int = 0
    releases: list[str] = field(default_factory=list)
    bytes: int = 0
    logs: int = 0
    lines: int = 0
    notifications: int = 0
    tasks: int = 0

    def __bool__(self) -> bool:
        return any(vars(self).values())


def tidy(*, actor: Actor, dry_run: bool = False) -> Tidied:
    """Delete what nothing needs any more; with `dry_run` only count it. Raises NotAllowed, Conflict during a backup."""
    require(actor, Verb.PRUNE)
    done = Tidied()
    _take_apart(done, dry_run)
    going = _prune_artifacts(done, dry_run)
    _prune_files(done, going if dry_run else None)
    _prune_rows(done, timezone.now() - timedelta(days=settings.KEEP_LOG_DAYS), dry_run)
    if done and not dry_run:
        with transaction.atomic():
            trail.record(actor=actor, name="storage.pruned", subject="portal", data=vars(done))
    return done


def _take_apart(done: Tidied, dry_run: bool) -> None:
    """Store in parts what earlier versions stored in one piece. Each is one step: readers see the one or the other."""
    for release in artifacts.whole_ones():
        done.taken_apart += 1
        if dry_run:
            continue
        path = Path(release.artifact.path)
        try:
            with contents().held(alone=True):
                contents().take_apart(path, path)
        except ArtifactCorrupt as error:  # it stays as it is, and says so wherever it is used
            logger.warning("%s stays in one piece: %s", release, error)


def _prune_artifacts(done: Tidied, dry_run: bool) -> list[Path]:
    """Where those lie, or lay, that nothing needs."""
    if dry_run:
        rows = list(needs.unneeded())
        done.releases = [str(release) for release in rows]
        return [Path(release.artifact.path) for release in rows]
    with contents().held(alone=True):
        with transaction.atomic():  # a request that is being made holds its release; what it needs is asked after that
            locked = needs.unneeded().select_for_update()
            wanted = needs.reasons() if (rows := list(locked)) else {}
            going = [row for row in rows if row.pk not in wanted]
            paths = [Path(row.artifact.path) for row in going]
            Release.objects.filter(pk__in=[row.pk for row in going]).update(artifact="")
        done.releases = [str(row) for row in going]
        done.bytes += artifacts.room(paths)
        for path in paths:
            path.unlink(missing_ok=True)
        return paths


def _prune_files(done: Tidied, would_go: list[Path] | None) -> None:
    """What is left over; only counted, with artifacts that would go before, where these are given."""
    if would_go is not None:
        leaving = [*artifacts.orphans(), *would_go]
        done.bytes += artifacts.room([*leaving, *artifacts.surplus(leaving)])
        return
    with contents().held(alone=True):
        orphans = artifacts.orphans()
        try:
            going = [*orphans, *artifacts.surplus(orphans)]
        except ArtifactCorrupt as error:
            logger.warning("no content is deleted: what a damaged artifact needs cannot be known. %s", error)
            return
        done.bytes += artifacts.room(going)
        for path in going:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _prune_rows(done: Tidied, before: datetime, dry_run: bool) -> None:
    failures = queueing.old_failures()
    done.tasks = len(failures)
    sent = NotificationDelivery.objects.filter(created_at__lt=before).exclude(state=NotificationDelivery.State.WAITING)
    done.notifications = sent.count()
    if dry_run:
        done.logs = old_logs(before).count()
        done.lines = LogLine.objects.filter(deployment__in=old_logs(before).order_by()).count()
        return
    queueing.forget_failures(failures)
    sent.delete()
    subscribers.forget_unconfirmed()
    for number in old_logs(before).values_list("pk", flat=True):
        lines = LogLine.objects.filter(deployment=number)
        count = lines.count()
        done.logs, done.lines = done.logs + 1, done.lines + count
        with transaction.atomic():
            lines.delete()
            told = f"({count} lines of this log were deleted after {settings.KEEP_LOG_DAYS} days)"
            LogLine.objects.create(deployment_id=number, step=PRUNED, text=told)


def old_logs(before: datetime) -> QuerySet[Deployment]:
    """Deployments that ended before then and have a log; of what nobody has settled it stays."""
    lines = LogLine.objects.filter(deployment=OuterRef("pk")).exclude(step=PRUNED)
    rows = Deployment.objects.filter(finished_at__lt=before).exclude(status=Status.INTERRUPTED)
    return rows.filter(Exists(lines)).order_by("pk")
