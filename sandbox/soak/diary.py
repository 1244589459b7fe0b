"""What a soak has done so far, kept in a file: whoever is interrupted goes on from there."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One happening: when it was due and begun (seconds from the start), how long it took, and what came of it."""

    due: float
    what: str
    begun: float
    seconds: float
    good: bool
    sentence: str


class Diary:
    """The file of one soak: facts of its beginning, then a line for each happening."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.facts: dict[str, Any] = {}
        self.entries: list[Entry] = []
        if path.exists():
            first, *rest = [json.loads(line) for line in path.read_text().splitlines()] or [{}]
            self.facts, self.entries = first, [Entry(**line) for line in rest]

    @property
    def begun(self) -> bool:
        """Whether there is a soak to go on with."""
        return bool(self.facts)

    @property
    def elapsed(self) -> float:
        """Seconds of wall time since it was begun, interruptions included."""
        return time.time() - float(self.facts["started"])

    def begin(self, **facts: object) -> None:
        """A new soak."""
        self.facts, self.entries = {"started": time.time(), **facts}, []
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.facts) + "\n")

    def note(self, entry: Entry) -> None:
        """Write one happening down, for good."""
        self.entries.append(entry)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())
