"""Every page that links lead to, as everybody: no dead link, no failure, no sentence of Django's own, no wrong word."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import override_settings

from alerting.models import Alert, Incident
from dashboard.models import StatusPage
from dashboard.services.statuspage import EDITABLE
from deployments.models import Approval, Deployment, Release, Server
from tests.fixtures import showroom
from tests.portal.crawling import Crawl, Page, patterns

EVERYBODY = ("", "nils", "vera", "olga", "arno", "ada")
NOT_AGAIN = {who: "/docs/." if who != "ada" else "/docs/.|/deployments/\\d+/log" for who in EVERYBODY if who}
"""What is the same for everybody is read once."""
BY_OTHER_WAYS = re.compile(
    r"^/(palette)?$|\^|\(|images|object_id|int:number|^/(api|auth|healthz|metrics|favicon|invitation|status\.|alerts/.+/|silences/.+/|incidents/.+/update|incidents/subscription/.+|maintenance/.+/end|validations/.)"
    r"|badge\.svg|/log$|/(add|login|logout|jsi18n|autocomplete|search|export|try|r|done)/|alerts/act|sign-on|/journal/"
)
"""Not by a link: what machines read, forms send, an object's state decides about, or a letter brings."""
FORM = "a date or an age in another form"
THINGS = "file|alert|server|deployment|approval|package|event|time|bot|rollback|day"
WRONG = {
    r"\(s\)": "a plural in brackets",
    rf"\b1 ({THINGS.replace('|', 's|')}s)\b": "one of several",
    rf"\b(?!1\b)\d+ ({THINGS})\b(?!\.)": "several of one",
    r"\b(the|a|to|of|in|is|and|for|it|on|by|was) \1\b": "a doubled word",
    r"Authentication and Authorization|quality time|[Ss]ite administration|Select [a-z ]+ to (change|view)": "Django",
    r"\d{4}-\d\d-\d\d \d\d:\d\d|\b\d+ (second|minute|hour|day|week|month)s? ago": FORM,
    r"This page yielded into no results": "Unfold's own words",
    r"deliverys|policys|Deliverys|Policys": "a plural that is none",
    r"\| None \||\{\{ | \}\}|\{%|object at 0x|\bnan\b": "what a template should not show",
}


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A portal that was used for a while, with a deployment in every state; filled once for all."""
    state = tmp_path_factory.mktemp("state")
    (state / "static").mkdir()
    with (
        override_settings(STATE_DIR=state, MEDIA_ROOT=state / "artifacts", STATIC_ROOT=state / "static"),
        django_db_blocker.unblock(),
        transaction.atomic(),
    ):
        showroom.fill()
        showroom.every_state()
        yield
        transaction.set_rollback(True)


def faults(page: Page) -> Iterator[str]:
    """What is wrong with one page."""
    code = page.answer.status_code
    if code >= 500 or (code >= 400 and page.origin):
        yield f"{page.origin or 'by its address'} → {page.path}: {code}"
    yield from tokens_in_addresses(page)
    for label in re.findall(r'data-label="([a-z][^"]*)"', page.html):
        yield f"{page.path}: on a phone {label!r} heads a column"
    for pattern, what in WRONG.items():
        if what == FORM and page.path.startswith("/docs/"):
            continue  # which shows what commands print
        for match in re.finditer(pattern, page.words):
            yield f"{page.path}: {what}: …{page.words[max(0, match.start() - 30) : match.end() + 30]}…"
    if page.html and "<html" in page.html:
        titles = re.findall(r"(?s)<title>(.*?)</title>", page.html.split("<body")[0])
        if len(titles) != 1 or not titles[0].strip().endswith("· CyTube Ops"):
            yield f"{page.path}: title {titles}"
        if len(re.findall(r"<h1\b", page.html)) != 1:
            yield f"{page.path}: {len(re.findall('<h1', page.html))} headings of the first order"


def tokens_in_addresses(page: Page) -> Iterator[str]:
    """Forms that put the token against forgery into an address, from which histories, logs and other sites get it."""
    for form in re.findall(r"(?s)<form\b.*?</form>", page.html):
        by_get = 'method="post"' not in form.split(">")[0].lower()
        if by_get and "csrfmiddlewaretoken" in form:
            yield f"{page.path}: a form that is sent by GET has the token"
    if re.search(r'formmethod="?get', page.html, re.IGNORECASE):
        yield f"{page.path}: a button sends a form's token by GET"


@pytest.fixture(scope="module")
def crawls(filled: None, django_db_blocker: Any) -> dict[str, tuple[Crawl, list[Page]]]:
    """Everybody's way through the portal."""
    with django_db_blocker.unblock():
        made = {who: Crawl(who, left_out=NOT_AGAIN.get(who, "")) for who in EVERYBODY}
        return {who: (crawl, list(crawl.pages())) for who, crawl in made.items()}


def _values(rows: Any, *names: str) -> set[str]:
    return {str(value) for row in rows.values_list(*names) for value in row if value}


@pytest.fixture(scope="module")
def read_by_strangers(crawls: Any, django_db_blocker: Any) -> dict[str, Any]:
    """What people who are not signed in read, as the page is at first and with everything chosen; what they may not."""
    with django_db_blocker.unblock():
        never = _values(User.objects, "username") | _values(Server.objects, "host", "fingerprint")
        never |= _values(Deployment.objects, "reason", "sentence") | _values(Approval.objects, "comment")
        never |= {alert.summary for alert in Alert.objects.all() if alert.summary != alert.name}
        never |= _values(Incident.objects.filter(public=False), "title")
        at_first = _values(Release.objects, "version", "identifier") | _values(Alert.objects, "name")
        StatusPage.objects.update_or_create(pk=1, defaults=dict.fromkeys(EDITABLE[1:], True))
        with override_settings(STATE_DIR=_another(settings.STATE_DIR)):
            chosen = list(Crawl("").pages())
        StatusPage.objects.all().delete()
    return {"never": never, "at first": at_first, "pages": crawls[""][1], "everything": chosen}


def _another(state: Path) -> Path:
    """A directory in which no page has been drawn yet."""
    (state / "another").mkdir(exist_ok=True)
    return state / "another"


def leaks(pages: list[Page], secret: set[str]) -> set[tuple[str, str]]:
    """Which of these words stand on a page; documentation and `/healthz` are about the product, with its version."""
    return {
        (page.path, word)
        for page in pages
        if not page.answer.streaming and not page.path.startswith(("/docs/", "/api/v1/docs", "/healthz"))
        for word in secret
        if re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", unescape(page.answer.content.decode()))
    }


def test_strangers_read_nothing_of_the_work_behind_it(read_by_strangers: dict[str, Any]) -> None:
    pages, chosen = read_by_strangers["pages"], read_by_strangers["everything"]
    never, at_first = read_by_strangers["never"], read_by_strangers["at first"]
    assert leaks(pages, never | at_first) == set()
    assert leaks(chosen, never) == set()
    assert {word for _, word in leaks(chosen, at_first)} >= {"0.2.0", "HighResponseTime"}, "seen where it is shown"
    assert {"/", "/bots/prod-1/", "/incidents/", "/status.json", "/incidents.rss"} <= {page.path for page in pages}


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_link_leads_somewhere_and_every_page_reads_right(crawls: Any, who: str) -> None:
    pages = crawls[who][1]
    wrong = sorted({fault for page in pages for fault in faults(page)})
    assert wrong == []
    assert len(pages) >= (9 if who in {"", "nils"} else 60)


def test_every_page_of_the_url_conf_is_reached_by_a_link(crawls: Any) -> None:
    reached = set().union(*(crawl.views for crawl, _ in crawls.values()))
    assert [name for name, path in patterns() if name not in reached and not BY_OTHER_WAYS.search(path)] == []
