"""Every error has an id, and docs/troubleshooting.md its entry: exit code, HTTP status, meaning, what to do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

from deployments.http import problems
from deployments.http.error_messages import show_error
from engine.errors import EnvironmentBusy, PortalError, error_id
from tests.project.raised import ROOT, outcomes, reasons

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
_ROW = re.compile(r'^\| <a id="(ops-[a-z-]+)"></a>`\1` \| ([0-9/ ]+) \| ([0-9/ ]+) \| (.+?) \| (.+?) \|$', re.MULTILINE)
_STEP = re.compile(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
ENTRIES = {found[0]: found[1:] for found in _ROW.findall(PAGE)}
HOW = 'docs/troubleshooting.md, by the alphabet: | <a id="ops-…"></a>`ops-…` | exit code | HTTP | it means | do |'


def _ends(entry: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {tuple(column.split(" / ")) for column in entry[:2]} if entry else set()


def test_exactly_the_errors_there_are_have_an_entry() -> None:
    ours = {error_id(reason) for reason in reasons()}
    assert ours - set(ENTRIES) == set(), f"add their rows to {HOW}"
    assert set(ENTRIES) - ours == set(), "no such error is raised any more"
    assert len(ENTRIES) == PAGE.count('<a id="ops-')


@pytest.mark.parametrize("column", [0, 1], ids=["exit code", "HTTP status"])
def test_an_entry_says_how_it_ends(column: int) -> None:
    wrong = {}
    for reason, ends in reasons().items():
        said = ENTRIES[error_id(reason)][column].split(" / ")
        true = [str(number) for number in sorted({end[column] for end in ends})]
        if said != true:
            wrong[error_id(reason)] = " / ".join(true)
    assert wrong == {}


def test_exactly_what_an_agent_can_say_has_an_entry() -> None:
    assert {found[0] for found in _STEP.findall(PAGE)} == outcomes(), "add to the last table: | `word` | means | do |"


def test_a_problem_document_and_the_command_line_carry_the_id() -> None:
    answer = problems.problem(409, "Another deployment is active.", reason=EnvironmentBusy.reason)
    assert b'"code": "ops-environment-busy"' in answer.content
    assert b'"type": "/docs/troubleshooting/#ops-environment-busy"' in answer.content
    assert EnvironmentBusy("It is busy.", hint="Wait.").said == "It is busy. Wait. [ops-environment-busy]"
    assert PortalError("No.").id == "ops-failed"


ROOMS = [ROOT / room for room in ("portal", "dashboard", "alerting", "deployments")]
TEMPLATES = sorted(page for room in ROOMS for page in room.glob("**/templates/**/*.html"))
_SHOWN = re.compile(r"\{\{ *(\w+)\.message *\}\}")


@pytest.mark.parametrize("page", TEMPLATES, ids=lambda page: page.name)
def test_a_page_that_shows_an_error_leads_to_its_entry(page: Path) -> None:
    text = page.read_text()
    shown = set(_SHOWN.findall(text))
    assert {name for name in shown if f"{name}|entry" not in text} == set(), "write {{ error|entry }} behind the hint"


def _handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    for room in ROOMS:
        for path in sorted(room.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ExceptHandler):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_page_tells_an_error_without_its_id() -> None:
    wrong = [
        where
        for where, handler in _handlers()
        for node in ast.walk(handler)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) == ("messages", "error")
    ]
    assert wrong == [], "deployments.http.error_messages.show_error shows it with its id"


def test_an_id_on_a_page_is_a_link_to_its_entry_and_nothing_of_the_sentence_is_markup() -> None:
    request = RequestFactory().get("/")
    storage = CookieStorage(request)
    vars(request)["_messages"] = storage
    show_error(request, EnvironmentBusy("<b>It</b> is busy.", hint="Wait."), about="<i>prod</i>")
    (said,) = [str(message) for message in storage]
    assert said == (
        "&lt;i&gt;prod&lt;/i&gt;: &lt;b&gt;It&lt;/b&gt; is busy. Wait. "
        '<a class="entry" href="/docs/troubleshooting/#ops-environment-busy">ops-environment-busy</a>'
    )
