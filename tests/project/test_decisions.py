"""Decisions are numbered and dated, and the index has each."""

import re
from pathlib import Path

DECISIONS = Path(__file__).resolve().parent.parent.parent / "docs" / "decisions"
PAGES = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
HEAD = re.compile(
    r"# (?P<number>\d{4})\. (?P<title>.+)\n\nDate: (?P<date>\d{4}-\d\d-\d\d)\. Status: (?P<status>.+)\.\n"
)


def test_pages_are_numbered_one_after_the_other() -> None:
    assert [path.name[:5] for path in PAGES] == [f"{number:04}-" for number in range(1, len(PAGES) + 1)]


def test_the_index_has_every_page_with_its_date_and_status() -> None:
    rows = []
    for path in PAGES:
        head = HEAD.match(path.read_text())
        assert head is not None, f"{path.name} does not begin with its number, title, date and status"
        assert head["number"] == path.name[:4]
        rows.append(f"| [{head['number']}]({path.name}) | {head['date']} | {head['title']} | {head['status']} |")
    index = (DECISIONS / "README.md").read_text()
    assert [line for line in index.splitlines() if line.startswith("| [")] == rows
