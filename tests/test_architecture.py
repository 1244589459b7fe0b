"""docs/architecture.md and the import contracts are one: neither says what the other does not."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = configparser.ConfigParser()
CONTRACTS.read(ROOT / ".importlinter")

ROOMS = ["engine", "deployments", "alerting", "dashboard", "botcore"]


def _layers(section: str) -> list[list[str]]:
    lines = CONTRACTS[section]["layers"].split("\n")
    return [re.findall(r"\w+", line) for line in lines if line.strip()]


def _drawn(room: str) -> list[list[str]]:
    """The lines of a room's drawing: its names, without what is said beside them."""
    block = re.search(rf"### {room}\n\n```\n(.*?)```", PAGE, re.DOTALL)
    assert block, f"docs/architecture.md draws no room {room}"
    return [re.findall(r"\w+", re.split(r"\s{2,}", line)[0]) for line in block.group(1).splitlines()]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_drawn_as_its_contract_has_it(room: str) -> None:
    assert _drawn(room) == _layers(f"importlinter:contract:inside-{room}")


@pytest.mark.parametrize("room", ROOMS)
def test_every_part_of_a_room_has_its_line(room: str) -> None:
    placed = {name for line in _layers(f"importlinter:contract:inside-{room}") for name in line}
    there = {
        path.stem if path.is_file() else path.name
        for path in (ROOT / room).iterdir()
        if (path.suffix == ".py" and path.stem not in {"__init__", "apps"}) or (path / "__init__.py").is_file()
    }
    assert there - placed <= {"migrations", "templatetags", "__main__"}


def test_every_room_of_the_house_is_in_the_table() -> None:
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(re.findall(r"^\| `(\w+)/`", PAGE, re.MULTILINE))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", PAGE))))
def test_every_place_that_the_page_names_exists(path: str) -> None:
    places = [ROOT / path, ROOT / "deployments" / path]
    assert any(place.exists() for place in places), path
