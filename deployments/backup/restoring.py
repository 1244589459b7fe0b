"""Putting a backup back: into an empty portal, or in the place of what is there.

Nothing is touched before the whole file has been read and every member proven. What a backup cannot know is made safe
afterwards: servers may have seen higher fences, and deployments that were queued may have run since.
"""

import json
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from deployments.access.policy import require_role
from deployments.access.verbs import Verb
from deployments.audit import trail, verification
from deployments.backup import crossing, databases
from deployments.backup.backups import FORMAT
from deployments.core import portal_keys
from deployments.core.actors import Actor
from deployments.lifecycle import Status
from deployments.models import ClusterBeat, Deployment, Environment, Operation, Secret
from engine.artifacts.wheels import sha256_of
from engine.errors import Conflict, InvalidRequest
from engine.sealed_file import BrokenSeal, UnsealingReader

FENCE_STEP = 10_000
"""More deployments than an environment sees between two backups: servers refuse fences below the highest they saw."""


@dataclass(frozen=True)
class Restored:
    """What was put back, and what was found in it. `problems` are sentences; empty when all is well; `head` is the
    audit trail's afterwards."""

    made_at: str
    version: str
    rows: int
    events: int
    secrets: int
    cancelled: list[int]
    head: str = ""
    problems: list[str] = field(default_factory=list)


def restore_backup(*, actor: Actor, path: Path, passphrase: str, replace: bool) -> Restored:
    """Make this portal what the backup says it was. The portal must be stopped.

    Raises NotAllowed, SealedError (nothing was changed), Conflict when there is something already and `replace` is not
    given, InvalidRequest for a backup of another kind of database (SQLite's go into PostgreSQL), DatabaseCopyFailed.
    """
    require_role(actor, Verb.BACK_UP)
    if not databases.is_empty() and not replace:
        raise Conflict(
            "This portal has a history already; a backup would take its place.",
            hint="Stop the portal, make a backup of what is there, and say --replace.",
            reason="not_empty",
        )
    Path(settings.STATE_DIR).mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="restore-") as scratch:
        manifest = unpack(path, passphrase, Path(scratch))
        staged = Path(scratch) / databases.NAMES[manifest["engine"]]
        crosses = _require_fitting(manifest, staged)
        databases.require_may_replace()
        _take_keys(json.loads((Path(scratch) / "keys.json").read_text()))
        if crosses:
            databases.empty()
            call_command("migrate", verbosity=0, interactive=False)
            crossing.carry_over(staged)
        else:
            databases.replace_with(staged)
        _take_artifacts(Path(scratch) / "artifacts")
    problems = _differences(manifest)
    call_command("migrate", verbosity=0, interactive=False)
    return _make_safe(actor, path, manifest, problems)


def unpack(path: Path, passphrase: str, into: Path) -> dict[str, Any]:
    """Open a backup into an empty directory and prove every member; returns its manifest. Raises SealedError."""
    try:
        with path.open("rb") as source:
            reader = cast("BinaryIO", UnsealingReader(source, passphrase))
            with tarfile.open(fileobj=reader, mode="r|") as archive:
                _extract(archive, into)
            while reader.read(1 << 20):
                pass  # the padding after the archive is part of what was sealed
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}.") from error
    except tarfile.TarError as error:
        raise BrokenSeal(f"The backup does not hold what it should: {error}.", hint="Use another copy.") from error
    manifest = json.loads((into / "manifest.json").read_text())
    if manifest["format"] != FORMAT:
        raise InvalidRequest(
            f"The backup has the format {manifest['format']}; this portal reads {FORMAT}.",
            hint=f"Restore it with the portal's version {manifest['version']}, then update.",
        )
    wrong = [name for name, digest in manifest["members"].items() if sha256_of(into / name) != digest]
    if wrong:
        raise BrokenSeal(f"Altered in the backup: {', '.join(wrong)}.", hint="Use another copy.")
    return cast("dict[str, Any]", manifest)


def _extract(archive: tarfile.TarFile, into: Path) -> None:
    """Every file below `into`, and nothing else anywhere: Debian 12's Python has no extraction filters yet."""
    for member in archive:
        path, content = into / member.name, archive.extractfile(member) if member.isfile() else None
        if content is None or not path.resolve().is_relative_to(into.resolve()):
            raise BrokenSeal(f"The backup holds something that is no file: {member.name}.", hint="Use another copy.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            shutil.copyfileobj(content, target, 1 << 20)


def _require_fitting(manifest: dict[str, Any], staged: Path) -> bool:
    """Whether the copy's rows have to cross from SQLite to PostgreSQL; raises InvalidRequest where no way leads."""
    if manifest["engine"] == connection.vendor:
        return False
    if connection.vendor == "sqlite":
        raise InvalidRequest(
            f"This is a backup of {manifest['engine']}, and this portal uses {connection.vendor}.",
            hint="Set DATABASE_URL to a database of that kind.",
        )
    crossing.require_same_tables(staged, manifest["version"])
    return True


def _take_keys(keys: dict[str, Any]) -> None:
    """Use the backup's keys from now on: write them where the settings look, unless those already have them."""
    wanted = list(keys["encryption_keys"])
    if set(wanted) <= set(settings.ENCRYPTION_KEYS):
        return
    if given := sorted({"PORTAL_ENCRYPTION_KEYS", "PORTAL_ENCRYPTION_KEYS_FILE"} & set(os.environ)):
        raise Conflict(
            f"{given[0]} does not have the keys that the backup's secrets are encrypted with.",
            hint="Unset it for the restore, or put the old keys behind the new one. Nothing was changed.",
            reason="other_keys",
        )
    directory = Path(settings.STATE_DIR) / "secrets"
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, text in (("portal_secret_key", keys["secret_key"]), ("portal_encryption_keys", ",".join(wanted))):
        draft = directory / f"{name}.new"
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.rename(directory / name)
    settings.SECRET_KEY, settings.ENCRYPTION_KEYS = keys["secret_key"], wanted


def _take_artifacts(staged: Path) -> None:
    """Each file whole or not at all; contents before what needs them."""
    found = (path for path in staged.rglob("*") if path.is_file())
    for path in sorted(found, key=lambda path: (path.relative_to(staged).parts[0] != "contents", path)):
        target = Path(settings.MEDIA_ROOT) / path.relative_to(staged)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        draft = target.with_name(f".{target.name}.new")
        shutil.move(path, draft)  # the directory may be another disk's
        draft.chmod(0o440 if target.parent.parent.name == "contents" else 0o640)
        draft.replace(target)


def _differences(manifest: dict[str, Any]) -> list[str]:
    found = databases.row_counts()
    return [
        f"{table} has {found.get(table, 0)} rows, and had {count}."
        for table, count in manifest["rows"].items()
        if found.get(table, 0) != count
    ]


def _make_safe(actor: Actor, path: Path, manifest: dict[str, Any], problems: list[str]) -> Restored:
    head = trail.Head.parse(manifest["audit_head"]) if not manifest["audit_head"].startswith("0:") else None
    verification.forget()  # of the database that stood here before
    problems = problems + [problem.sentence for problem in trail.verify(head)]
    decrypted, undecryptable = _read_secrets()
    problems += undecryptable
    with transaction.atomic():
        portal_keys.remember()  # those of the backup, or ones that open it: the next start has them
        cancelled = _end_queued()
        Environment.objects.update(fence=F("fence") + FENCE_STEP)
        ClusterBeat.objects.all().delete()  # of machines that worked then: nobody misses them here
        last = trail.record(
            actor=actor,
            name="backup.restored",
            subject=f"backup:{path.name}",
            data={
                "made_at": manifest["made_at"],
                "sha256": sha256_of(path),
                "head": manifest["audit_head"],
                "cancelled": cancelled,
                "operations": _end_operations(),
                "fences_raised_by": FENCE_STEP,
                "problems": problems,
            },
        )
    return Restored(
        made_at=manifest["made_at"],
        version=manifest["version"],
        rows=sum(manifest["rows"].values()),
        events=manifest["rows"].get("deployments_auditevent", 0),
        secrets=decrypted,
        cancelled=cancelled,
        head=str(trail.Head(last.sequence, last.hash)),
        problems=problems,
    )


def _end_queued() -> list[int]:
    numbers = list(Deployment.objects.filter(status=Status.QUEUED).values_list("pk", flat=True))
    for number in numbers:
        Deployment.objects.move(
            number,
            Status.CANCELLED,
            outcome="restored",
            sentence="It was queued when the backup was made, and may have run since. Ask for it again.",
        )
    return numbers


def _end_operations() -> list[int]:
    """What was asked for or under way when the backup was made may have been done since, and is not done twice."""
    rows = Operation.objects.filter(state__in=Operation.ACTIVE)
    numbers = list(rows.values_list("pk", flat=True))
    rows.update(
        state=Operation.State.LOST,
        outcome="restored",
        sentence="The backup was made before its end: `status` says what runs.",
        finished_at=timezone.now(),
    )
    Operation.objects.exclude(credentials="").update(credentials="")  # in backups of versions before
    return numbers


def _read_secrets() -> tuple[int, list[str]]:
    """How many stored secrets the keys decrypt, and a sentence for each that they do not."""
    cipher = MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
    stored: list[tuple[str, str]] = []
    with connection.cursor() as cursor:  # what lies in the columns, without the field that decrypts
        for model, column in (
            (Environment, "private_key"),
            (Environment, "next_private_key"),
            (Secret, "value"),
        ):
            table = model._meta.db_table
            cursor.execute(f"SELECT id, {column} FROM {table} WHERE {column} <> ''")  # noqa: S608  (our own names)
            stored += [(f"{table} {key}", text) for key, text in cursor.fetchall()]
    wrong = []
    for name, text in stored:
        try:
            cipher.decrypt(text.encode())
        except InvalidToken:
            wrong.append(f"The secret of {name} cannot be decrypted with the backup's keys.")
    return len(stored) - len(wrong), wrong
