"""The recording of a real server: its lines, and what in them is the same on every run."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[2] / "data" / "cytube-transcript.jsonl"

_CODE = re.compile(r"[A-Za-z0-9+/]{3}(\.[A-Za-z0-9+/]{3})+")
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Entry:
    """One line. ``ms`` counts from the beginning of the run."""

    scenario: str
    client: str
    dir: str
    event: str
    data: Any
    ms: float


def read(*, first: str = "", last: str = "\U0010ffff") -> list[Entry]:
    """Lines of the scenarios whose titles lie between ``first`` and ``last``."""
    with PATH.open(encoding="utf-8") as lines:
        entries = [Entry(**json.loads(line)) for line in lines]
    return [each for each in entries if first <= each.scenario[: len(first)] and each.scenario[: len(last)] <= last]


def steady(value: Any, key: str = "") -> Any:
    """``value`` without times, addresses and ports, and with positions to a tenth of a second."""
    if isinstance(value, dict):
        return {name: steady(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [steady(each) for each in value]
    if key in ("time", "timestamp") and isinstance(value, int) and value > 10**12:
        return "<ms>"
    if key == "currentTime" and isinstance(value, int | float):
        return round(float(value), 1)
    if isinstance(value, str):
        return _URL.sub("<url>", _CODE.sub("<code>", value))
    return value


def scenarios(entries: Iterable[Entry]) -> list[str]:
    """Titles in order."""
    return list(dict.fromkeys(each.scenario for each in entries))


def heard(entries: Iterable[Entry]) -> Iterator[Entry]:
    """What came in over a socket and does not stem from the client library alone."""
    silent = ("<connect>", "<connect_error>", "<open failed>")
    return (
        each
        for each in entries
        if each.dir == "in" and each.client != "http" and each.event not in silent and "<ack" not in each.event
    )
