"""Rehearsals that are timed and recorded: going back and forward, and restoring the last backup.

Each leaves the event `drill.rollback` or `drill.restore` with `passed` and its times; the status page, the metrics and
the readiness scorecard read them from there. (Alerts are drilled by `alerting.drills`.)
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.backup import backups
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.environments.guards import frozen, refuse_busy, refuse_locked
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment
from deployments.notifications import messages
from deployments.requests.bake import baking_deployment
from deployments.requests.rollback_targets import (
    is_way_back,
    refuse_quarantined,
    rollback_target,
    success_of,
    why_none,
)
from deployments.requests.rollbacks import request_rollback
from engine.errors import Conflict, InvalidRequest, NotFound

WORKER_SECONDS = 420.0
"""How long a scheduled drill waits for each of its two rollbacks: together less than a task may take."""
RESTORE_SECONDS = 1800.0
"""How long restoring into a scratch database may take."""


@dataclass(frozen=True)
class Rehearsal:
    """How one drill went; `measured` are seconds by what took them, `problems` sentences."""

    name: str
    passed: bool
    measured: dict[str, float]
    problems: list[str] = field(default_factory=list)


def drill_rollback(
    *, actor: Actor, environment: Environment, carry_out: Callable[[Deployment], Deployment]
) -> Rehearsal:
    """Roll back to the release before, and forward again; both are real deployments, and both are timed.

    `carry_out` brings a queued deployment to its end. Afterwards no release is quarantined because of the drill. Raises
    NotAllowed (role, locked), EnvironmentBusy, InvalidRequest when there is no rollback target, or none forward again.
    """
    require(actor, Verb.DRILL, environment)
    refuse_busy(environment)
    refuse_locked(environment)
    current, earlier = selectors.live_release(environment), rollback_target(environment)
    if current is None or earlier is None:
        raise InvalidRequest(
            why_none(environment) or f"Nothing runs on {environment} yet.",
            hint="A drill goes back to a release that succeeded there with consent: deploy a good one first.",
            reason="no_rollback_target",
        )
    refuse_quarantined(current)
    success_of(environment, current)  # else there would be a way back, and none forward again
    measured: dict[str, float] = {}
    problems: list[str] = []
    for direction, release in (("back", earlier), ("forward", current)):
        reason = f"rollback drill, {direction}"
        asked = request_rollback(actor=actor, environment=environment, to=release, reason=reason, drill=True)
        done = carry_out(asked)
        measured[direction] = round(done.seconds or 0.0, 2)
        if done.status != Status.SUCCEEDED:
            status = done.get_status_display().lower()
            problems.append(f"Deployment {done.pk} ({direction}) {status}: {done.sentence}")
            break
    return record(actor, "drill.rollback", measured, problems, environment)


def hold_scheduled(*, actor: Actor) -> Rehearsal | None:
    """The rollback drill that nobody has to think of; None where it is not safe or there is nothing to go back to.

    Safe is an environment without approvals, neither locked nor under maintenance, where nothing is going on or being
    watched.
    """
    for environment in Environment.objects.filter(approvals_required=0):
        going_on = Deployment.objects.active().filter(environment=environment).exists()
        live = selectors.live_release(environment)
        possible = live and not live.quarantined and is_way_back(environment, live) and rollback_target(environment)
        if possible and not going_on and not frozen(environment) and baking_deployment(environment) is None:
            return drill_rollback(actor=actor, environment=environment, carry_out=_by_a_worker)
    return None


def _by_a_worker(deployment: Deployment) -> Deployment:
    end = time.monotonic() + WORKER_SECONDS
    while not deployment.ended and time.monotonic() < end:
        time.sleep(0.5)
        deployment.refresh_from_db()
    return deployment


def drill_restore(*, actor: Actor, directory: Path, passphrase: str) -> Rehearsal:
    """Restore the newest backup into a scratch portal, as `restore` would, and check what it then has.

    Raises NotAllowed, NotFound without a backup, Conflict where the database is neither SQLite nor PostgreSQL.
    """
    require(actor, Verb.DRILL)
    backup = backups.newest(directory)
    if backup is None:
        raise NotFound(f"There is no backup in {directory}.", hint="Make one: manage.py backup", reason="no_backup")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="drill-") as scratch, _Scratch() as database:
        found, problems = _restore(backup, passphrase, Path(scratch), database)
    measured = {"restore": round(time.monotonic() - began, 2)}
    if not problems and not found["events"]:
        problems.append("The backup has no audit trail.")
    return record(actor, "drill.restore", measured, problems, "", backup=backup.name, rows=found.get("rows", 0))


def record(
    actor: Actor,
    name: str,
    measured: dict[str, float],
    problems: list[str],
    environment: Environment | str,
    **facts: Any,
) -> Rehearsal:
    """Write how a drill went."""
    with transaction.atomic():
        trail.record(
            actor=actor,
            name=name,
            subject=f"environment:{environment}" if environment else "portal",
            environment=environment,
            data={"passed": not problems, "seconds": measured, "problems": problems, **facts},
        )
        if problems and actor.kind == "system":  # nobody looks on
            what = f"the {name.removeprefix('drill.')} drill failed"
            messages.notify_everyone("drill", what=what, lines=problems)
    return Rehearsal(name, not problems, measured, problems)


def _restore(backup: Path, passphrase: str, scratch: Path, database: str) -> tuple[dict[str, Any], list[str]]:
    state = scratch / "state"
    secret = scratch / "passphrase"
    secret.touch(mode=0o600)
    secret.write_text(passphrase)
    # nothing of this portal but its programs: the keys must come from the backup
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL")}
    environment = {**kept, "PORTAL_STATE_DIR": str(state), **({"DATABASE_URL": database} if database else {})}
    done = subprocess.run(
        [sys.executable, "-m", "portal", "restore", str(backup), "--json", "--passphrase-file", str(secret)],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RESTORE_SECONDS,
        check=False,
    )
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {}, [f"restore said: {(done.stderr or done.stdout).strip()[-500:]}"]
    if "error" in told:
        return {}, [str(told["sentence"])]
    return told, list(told["problems"])


class _Scratch:
    """A database that is gone afterwards: on SQLite a file of the scratch directory, else one on the same server."""

    def __init__(self) -> None:
        self._name = f"drill_{os.getpid()}"

    def __enter__(self) -> str:
        if connection.vendor == "sqlite":
            return ""
        if connection.vendor != "postgresql":
            raise Conflict(f"There is no drill for {connection.vendor}.", reason="no_drill")
        self._execute(f'CREATE DATABASE "{self._name}"')
        wanted = connection.get_connection_params()
        user, host, port = (wanted.get(key) or "" for key in ("user", "host", "port"))
        password = f":{wanted['password']}" if wanted.get("password") else ""
        return f"postgres://{user}{password}@/{self._name}?host={host}" + (f"&port={port}" if port else "")

    def __exit__(self, *_error: object) -> None:
        if connection.vendor == "postgresql":
            self._execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    @staticmethod
    def _execute(statement: str) -> None:
        with connection._nodb_cursor() as cursor:
            cursor.execute(statement)
