"""What takes the disk space of the portal, by kind and application, and what keeps it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.models import AuditEvent, LogLine, NotificationDelivery, Release
from deployments.releases.artifacts import contents
from deployments.storage import artifacts, needs
from engine.artifacts.errors import ArtifactCorrupt
from engine.artifacts.reader import open_artifact


@dataclass(frozen=True)
class Usage:
    """One kind of thing: `count` of them, `bytes` of disk (None where they are rows), and what bounds them."""

    kind: str
    count: int
    bytes: int | None
    bound: str
    application: str = ""


@dataclass(frozen=True)
class Kept:
    """A release's artifact: what it holds, what of it no other release has, and why it stays; nothing: it may go."""

    release: str
    application: str
    size: int
    alone: int
    reasons: list[str]


def usage(*, actor: Actor) -> list[Usage]:
    """Everything that grows. Raises NotAllowed."""
    require(actor, Verb.VIEW)
    return [*_of_artifacts(), *_of_files(), *_of_rows()]


def kept(*, actor: Actor) -> list[Kept]:
    """Every artifact here, newest first, with the reasons why it is kept. Raises NotAllowed."""
    require(actor, Verb.VIEW)
    why = needs.reasons()
    held = dict(_held())
    owners: dict[str, int] = {}
    for sizes in held.values():
        for sha256 in sizes:
            owners[sha256] = owners.get(sha256, 0) + 1
    return [
        Kept(
            str(release),
            release.name,
            sum(sizes.values()),
            sum(size for sha256, size in sizes.items() if owners[sha256] == 1),
            why.get(release.pk, []),
        )
        for release, sizes in held.items()
    ]


def _held() -> Iterator[tuple[Release, dict[str, int]]]:
    """Each release whose artifact is here, with its contents and their sizes."""
    for release in Release.objects.exclude(artifact="").exclude(artifact_digest=""):
        path = Path(release.artifact.path)
        if path.exists():
            try:
                with open_artifact(path, None, contents().directory) as reader:
                    yield release, {file.sha256: file.size for file in reader.manifest}
            except ArtifactCorrupt:  # what it holds cannot be known
                yield release, {}


def _of_artifacts() -> Iterator[Usage]:
    """By application; a content that several share counts where it came first."""
    seen: set[str] = set()
    found: dict[str, tuple[int, int]] = {}
    for release, sizes in reversed(list(_held())):
        count, size = found.get(release.name, (0, 0))
        own = artifacts.room([Path(release.artifact.path), *(contents().path(each) for each in sizes.keys() - seen)])
        seen |= sizes.keys()
        found[release.name] = count + 1, size + own
    bound = f"the newest {settings.KEEP_RELEASES} of each application, and what something needs (PORTAL_KEEP_RELEASES)"
    for name, (count, size) in sorted(found.items()):
        yield Usage("artifacts", count, size, bound, name)


def _of_files() -> Iterator[Usage]:
    wheels = list((settings.STATE_DIR / "wheels").glob("*/*.whl"))
    apart = [path for path in wheels if path.stat().st_nlink == 1]
    yield Usage("wheels", len(wheels), artifacts.room(apart), "as long as a release holds one of them")
    made = list(Path(settings.BACKUP_DIR).glob("*.backup"))
    yield Usage("backups", len(made), artifacts.room(made), f"the newest {settings.BACKUP_KEEP} (PORTAL_BACKUP_KEEP)")
    copies = list((settings.STATE_DIR / "before-update").glob("*"))
    yield Usage("copies of the database before an update", len(copies), artifacts.room(copies), "the newest 3")


def _of_rows() -> Iterator[Usage]:
    days = f"{settings.KEEP_LOG_DAYS} days (PORTAL_KEEP_LOG_DAYS)"
    yield Usage("database", 1, _database_size(), "what follows is in it")
    yield Usage("lines of logs", LogLine.objects.count(), None, days)
    yield Usage("notifications", NotificationDelivery.objects.count(), None, days)
    yield Usage("audit events", AuditEvent.objects.count(), None, "for ever: they are the record")


def _database_size() -> int:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
    file = Path(str(connection.settings_dict["NAME"]))
    return artifacts.room(file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm"))
