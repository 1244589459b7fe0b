"""The documentation as a site: every page in its navigation, nothing of anybody else's, blocks as readers need them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import mkdocs_hooks

ROOT = Path(__file__).resolve().parents[2]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def named(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    inner = entries.values() if isinstance(entries, dict) else entries
    return [name for entry in inner for name in named(entry)]


def test_every_page_is_in_the_navigation_once() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(named(SITE["nav"])) == sorted([*pages, "decisions/README.md"]), "add it to nav in mkdocs.yml"


def test_every_page_is_on_the_portals_first_page_of_documents_too() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert linked == set(named(SITE["nav"])) - {"README.md"}


def test_a_link_that_leads_nowhere_ends_the_build() -> None:
    assert SITE["strict"] is True
    assert set(SITE["validation"]["links"].values()) == {SITE["validation"]["nav"]["not_found"]} == {"warn"}


def test_nothing_is_fetched_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "repo_url"} & set(SITE)


@pytest.mark.parametrize("mark", ["run", "example"])
def test_readers_do_not_see_what_marks_a_block(mark: str) -> None:
    assert mkdocs_hooks.on_page_markdown(f"```sh {mark}\nls\n```\n") == "```sh\nls\n```\n"


@pytest.mark.full
def test_the_site_is_built_with_every_link_leading_somewhere() -> None:
    done = subprocess.run(["make", "docs-check"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = (ROOT / "build/site").rglob("*.html")
    outside = [
        (page.name, found)
        for page in built
        for found in re.findall(r'<(?:script|link|img)[^>]+"https?:[^>]+>', page.read_text())
    ]
    assert outside == []
