"""Backups of the portal: database, artifacts and keys in one file that only its passphrase opens.

The file is a tar archive (`database.*`, `artifacts/…` as they are stored, `keys.json`, and last `manifest.json` with
the sha256 of every other member, the number of rows of every table and the head of the audit trail), sealed by
`engine.sealed_file`. Beside it lies `NAME.sha256`, so that a copy can be checked without the passphrase.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.backup import databases
from deployments.core.actors import Actor
from deployments.releases.artifacts import contents, stored_files
from engine.artifacts.wheels import sha256_of
from engine.errors import InvalidRequest
from engine.sealed_file import MIN_PASSPHRASE, SealingWriter

SUFFIX = ".backup"
FORMAT = 1
_READ = 1 << 20


@dataclass(frozen=True)
class Backup:
    """A backup that was made; `seconds` is how long that took, `size` in bytes, `head` the audit trail's in it."""

    path: Path
    size: int
    sha256: str
    seconds: float
    rows: int
    artifacts: int
    head: str


def make_backup(*, actor: Actor, directory: Path, passphrase: str, keep: int) -> Backup:
    """Write a backup into `directory`, while everybody goes on working, and delete all but the newest `keep`.

    Raises NotAllowed, InvalidRequest, DatabaseCopyFailed. Nothing is left of a backup that failed.
    """
    require(actor, Verb.BACK_UP)
    made = write_backup(directory=directory, passphrase=passphrase)
    _forget_old(directory, keep)
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="backup.made",
            subject=f"backup:{made.path.name}",
            data={"size": made.size, "sha256": made.sha256, "seconds": made.seconds, "head": made.head},
        )
    return made


def write_backup(*, directory: Path, passphrase: str) -> Backup:
    """Write a backup that no event tells of: for those who record more than that. Raises as `make_backup`."""
    check_passphrase(passphrase)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    began = time.monotonic()
    path = directory / f"portal-{timezone.now():%Y%m%dT%H%M%S.%f}Z{SUFFIX}"
    draft = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(_private(draft), "wb") as target, SealingWriter(target, passphrase) as sealed:
            manifest = _write_archive(sealed)
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        digest = sha256_of(draft)
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return Backup(
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        seconds=round(time.monotonic() - began, 2),
        rows=sum(manifest["rows"].values()),
        artifacts=sum(name.startswith("artifacts/releases/") for name in manifest["members"]),
        head=manifest["audit_head"],
    )


def check_passphrase(passphrase: str) -> None:
    """Raise InvalidRequest for one that is too short to protect anything."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise InvalidRequest(
            f"A backup's passphrase has at least {MIN_PASSPHRASE} characters.",
            hint="Give it in a file (--passphrase-file, or PORTAL_BACKUP_PASSPHRASE_FILE), and keep it elsewhere too.",
            reason="bad_passphrase",
        )


def newest(directory: Path) -> Path | None:
    """The backup made last, or None."""
    return max(directory.glob(f"*{SUFFIX}"), default=None)  # the names sort by time


def _write_archive(sealed: SealingWriter) -> dict[str, Any]:
    members: dict[str, str] = {}
    with (
        contents().held(),  # what the database names is not tidied away meanwhile
        tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="backup-") as scratch,
        tarfile.open(fileobj=sealed, mode="w|", bufsize=_READ) as archive,
    ):
        head = str(trail.head())
        copy = Path(scratch) / databases.NAMES[connection.vendor]
        rows = databases.dump(copy)
        _add_file(archive, copy.name, copy, members)
        for artifact in stored_files():
            _add_file(archive, f"artifacts/{artifact.relative_to(settings.MEDIA_ROOT)}", artifact, members)
        keys = {"secret_key": str(settings.SECRET_KEY), "encryption_keys": list(settings.ENCRYPTION_KEYS)}
        _add_bytes(archive, "keys.json", json.dumps(keys).encode(), members)
        manifest = {
            "format": FORMAT,
            "version": settings.VERSION,
            "engine": connection.vendor,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "audit_head": head,
            "rows": rows,
            "members": members,
        }
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode(), {})
    return manifest


def _add_file(archive: tarfile.TarFile, name: str, path: Path, members: dict[str, str]) -> None:
    info = archive.gettarinfo(path, name)
    with path.open("rb") as file:
        archive.addfile(info, file)
    members[name] = sha256_of(path)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes, members: dict[str, str]) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
    archive.addfile(info, io.BytesIO(content))
    members[name] = hashlib.sha256(content).hexdigest()


def _forget_old(directory: Path, keep: int) -> None:
    for path in sorted(directory.glob(f"*{SUFFIX}"))[: -max(1, keep)]:
        path.unlink()
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
