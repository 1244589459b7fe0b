"""The changelog has the sections and dates that the release workflow and its readers look for."""

import re
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "CHANGELOG.md").read_text()
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_what_is_unreleased_comes_first_then_versions_with_their_days_newest_first() -> None:
    first, *released = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert first == "[Unreleased]"
    days = []
    for heading in released:
        head = re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading)
        assert head is not None, heading
        days.append(date.fromisoformat(head[2]))
    assert days == sorted(days, reverse=True)
    assert (ROOT / "VERSION").read_text().strip() in TEXT


def test_every_entry_is_in_a_section_of_a_known_name() -> None:
    for version in TEXT.split("\n## ")[1:]:
        before, *sections = version.split("\n### ")
        assert "\n- " not in before, before[:80]
        names = [section.partition("\n")[0] for section in sections]
        assert set(names) <= SECTIONS
        assert len(set(names)) == len(names)
        assert all("\n- " in section for section in sections), "an empty section"
