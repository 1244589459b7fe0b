"""A portal with nothing in it, read whole by everybody: each list says what would stand there, and who brings it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client

from deployments.admin.base import PortalAdmin
from deployments.admin.empty_lists import TABLE
from tests.fixtures.records import MakePerson
from tests.portal.crawling import Crawl
from tests.portal.test_crawl import faults

pytestmark = pytest.mark.django_db
ROLES = {"vera": "viewer", "olga": "operator", "arno": "approver", "ada": "administrator"}
NEVER_EMPTY = {"auth.user", "deployments.auditevent", "dashboard.statuspage"}
"""Whoever looks at them is in them; the last one is a page."""
LISTS = sorted(
    model._meta.label_lower
    for model, site in admin.site._registry.items()
    if isinstance(site, PortalAdmin) and model._meta.label_lower not in NEVER_EMPTY
)
Opened = Callable[[str, str], Any]


@pytest.fixture
def opened(make_person: MakePerson, state_dir: Any) -> Opened:
    """`opened("olga", "/deployments/")`: the page as she reads it."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    for name, role in ROLES.items():
        make_person(name, role)

    def read(who: str, path: str) -> Any:
        crawl = Crawl(who)
        return crawl.client.get(path)

    return read


@pytest.mark.parametrize("who", [*ROLES, ""])
def test_every_page_of_it_reads_right_and_every_way_may_be_gone(opened: Opened, who: str) -> None:
    pages = list(Crawl(who, left_out="/docs/.|/api/").pages())
    assert sorted({fault for page in pages for fault in faults(page)}) == []
    assert len(pages) > (3 if not who else 30)


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("model", LISTS)
def test_an_empty_list_says_what_to_do_or_who_does_it(opened: Opened, who: str, model: str) -> None:
    answer = opened(who, f"/admin/{model.replace('.', '/')}/")
    page = answer.content.decode()
    if answer.status_code == 403 or 'id="result_list"' in page:
        return  # not theirs, or what comes with every portal
    known = TABLE[model]
    assert known.sentence in page.replace("&#x27;", "'")
    if known.ways:
        offered = re.findall(r'<a class="cy-button cy-good" href="([^"]+)">', page.split(known.sentence[:20])[1])
        assert offered or "it takes the role" in page
        assert "There are no" in page


def test_whoever_may_not_is_told_by_name_who_may(opened: Opened) -> None:
    page = opened("olga", "/admin/deployments/server/").content.decode()
    assert "ada may do this: it takes the role administrator." in page
    assert "Add a server" not in page
    assert ">Add a server<" in opened("ada", "/admin/deployments/server/").content.decode()


@pytest.mark.parametrize(
    ("path", "may", "may_not"),
    [
        ("/incidents/", "Open one when people notice trouble", "Operators and approvers open one"),
        ("/maintenance/", "Plan it", "None. Operators plan it."),
        ("/silences/", "Which alerts match?", "Operators silence"),
        ("/deployments/", "The first steps", "The first steps"),
        ("/alerts/", "The first steps", "The first steps"),
    ],
)
def test_the_members_pages_do_so_too(opened: Opened, path: str, may: str, may_not: str) -> None:
    assert may in opened("olga", path).content.decode()
    assert may_not in opened("vera", path).content.decode()


def test_a_filter_that_nothing_passes_is_no_empty_list(opened: Opened) -> None:
    page = opened("ada", "/admin/deployments/server/?q=nothing").content.decode()
    assert "Nothing matches." in page
    assert "A server runs" not in page
    assert Client().get("/admin/deployments/server/").status_code == 302
