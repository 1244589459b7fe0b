"""What a server remembers of past runs, and of the release it runs: read from the agent's own files, never written."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.artifacts.manifest import Manifest
from engine.commands.records import journal_command, manifest_command
from engine.errors import TargetError
from engine.ssh.session import Session

DEADLINE = 60.0
"""Seconds for reading one file; a journal has a megabyte at most."""

Record = dict[str, Any]


@dataclass
class PastRun:
    """One run as the journal tells it. `plan` is what the portal sent, without files and configuration."""

    deployment: str
    fence: int
    at: str
    plan: Record
    steps: list[Record] = field(default_factory=list)
    result: Record | None = None

    @property
    def ended(self) -> bool:
        """Whether the journal tells how it ended."""
        return self.result is not None


def read_history(session: Session, name: str) -> list[PastRun]:
    """Every run in the journal of /opt/<name>, oldest first; empty when nothing ever ran. Raises SSHError."""
    # cat says with its exit code that a part is missing, which is normal for a young server
    done = session.run(journal_command(name), deadline=DEADLINE, check=False, what="reading the journal")
    return past_runs(done.stdout.splitlines())


def read_manifest(session: Session, name: str, release: str) -> Manifest:
    """The files of a release as the server has them. Raises RemoteFailed, TargetError when it is no manifest."""
    try:
        command = manifest_command(name, release)
    except ValueError as error:
        raise TargetError(f"The server says that it runs {release!r}, which is no release.") from error
    content = session.run(command, deadline=DEADLINE, what="reading the manifest").stdout
    try:
        # shell start files may print in front of it and behind
        rows, _ = json.JSONDecoder().raw_decode(content[max(content.find(b"[["), 0) :].decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise TargetError(f"The manifest of {release} on the server is no JSON.", hint="Look at its disk.") from error
    return Manifest.from_rows(rows if isinstance(rows, list) else [[]])


def past_runs(lines: Iterable[bytes]) -> list[PastRun]:
    """The runs in journal lines; lines that a power cut tore are skipped."""
    runs: dict[tuple[str, int], PastRun] = {}
    for line in lines:
        try:
            record = json.loads(line[max(line.find(b'{"'), 0) :])
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            _add(runs, record)
    return list(runs.values())


def _add(runs: dict[tuple[str, int], PastRun], record: Record) -> None:
    fence = record.get("fence") or 0
    if type(fence) is not int:
        return  # no agent wrote that
    key = (str(record.get("deployment", "")), fence)
    kind = record.get("kind")
    if kind == "run":
        runs[key] = PastRun(key[0], key[1], str(record.get("at", "")), record.get("plan", {}))
        return
    run = runs.get(key)
    if run is None:
        return
    if kind == "step" and record.get("state") != "begin":
        run.steps.append(record)
    elif kind == "reverting":
        run.result = None  # what had succeeded is being undone; another result follows
    elif kind == "result":
        run.result = record
