"""The documentation in the portal: every page of docs/, its links, its pictures, and a search."""

import re
from pathlib import Path

import pytest
from django.test import Client

from dashboard.selectors import documents
from engine.errors import EnvironmentBusy

pytestmark = pytest.mark.django_db
NAMES = sorted(str(path.relative_to("docs").with_suffix("")) for path in Path("docs").rglob("*.md"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_shown_and_its_links_lead_on(anyone: Client, name: str) -> None:
    answer = anyone.get(f"/docs/{name}/")
    assert answer.status_code == 200
    body = answer.content.decode()
    for path in set(re.findall(r'(?:href|src)="(/docs/[^"#?]*)', body)):
        assert anyone.get(path).status_code == 200, path
    unreached = re.findall(r"<(?:pre|table)>", body)
    assert unreached == [], "code and tables scroll in themselves, also by keyboard"


def test_the_id_of_an_error_leads_to_its_entry(anyone: Client) -> None:
    page = anyone.get("/docs/troubleshooting/").content.decode()
    assert f'<a id="{EnvironmentBusy("It is busy.").id}"></a>' in page


def test_search_finds_lines_and_where_they_stand(anyone: Client) -> None:
    hits = documents.search("BotDown")
    assert any(hit.page.name == "runbook" and hit.anchor == "botdown" for hit in hits)
    assert re.search(r"<h2>\d+ pages</h2>", anyone.get("/docs/?q=four+eyes").content.decode())
    assert documents.search("  ") == []
    assert b"<script>alert" not in anyone.get("/docs/?q=<script>alert(1)</script>").content


def test_search_names_a_page_once_and_those_first_whose_title_or_heading_says_it() -> None:
    found = [hit.page.name for hit in documents.search("rollback")]
    assert len(found) == len(set(found)) > 5
    assert documents.search("runbook")[0].page.name == "runbook"
    headings = [hit.in_heading for hit in documents.search("rollback")]
    assert headings == sorted(headings, reverse=True)
    assert len(set(headings)) == 2


def test_the_index_names_every_page_once_and_in_a_group(anyone: Client) -> None:
    rows = [row for group in documents.groups() for row in group.rows]
    listed = [page.name for row in rows for page in row.pages]
    assert sorted(listed) == sorted(set(NAMES) - {"README"})
    assert [group.title for group in documents.groups()] == [
        "To begin",
        "To run it",
        "To look up",
        "To judge it",
        "Decisions",
    ]
    shown = anyone.get("/docs/").content.decode()
    assert shown.index(">To begin<") < shown.index("what to do for each alert") < shown.index(">Decisions<")


@pytest.mark.parametrize("name", ["nothing", "../README", "images/../../manage", "decisions/../../manage.py"])
def test_nothing_but_pages_is_served(anyone: Client, name: str) -> None:
    assert anyone.get(f"/docs/{name}/").status_code == 404


@pytest.mark.parametrize("name", ["..%2f..%2fmanage.py", "x.png", "deploy-toml.schema.json"])
def test_nothing_but_pictures_is_served_as_one(anyone: Client, name: str) -> None:
    assert anyone.get(f"/docs/images/{name}", follow=True).status_code == 404
