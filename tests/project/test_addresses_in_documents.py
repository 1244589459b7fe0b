"""Addresses that the documentation names are the portal's: operations of the API with their parameters, and pages."""

import re

import pytest
from django.urls import Resolver404, resolve

from portal.api import api
from tests.project.blocks import ROOT

DOCS = ROOT / "docs"
OPERATION = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)(?:\?([\w=&{}]+))?")
PAGE = re.compile(r"`(/[a-z][\w/<>.-]*)`")
PAGES = ("checklists", "command-line", "faq", "first-deployment", "operations", "runbook", "security", "tour")
ON_DISK = ("/dev", "/etc", "/home", "/opt", "/proc", "/root", "/run", "/srv", "/tmp", "/usr", "/var")
NOT_OURS = {"/alertmanager/", "/prometheus/"}
"""Of Prometheus and Alertmanager themselves, which Caddy shows beside the portal."""
NO_VERSION = ("/api/health", "/livez", "/metrics", "/push/")
"""Beside the API: the bot's own, and what has an address of its own."""


def shape(path: str) -> str:
    """With parameters that have no name."""
    return re.sub(r"\{\w+\}|(?<=/)\d+", "{}", path)


def operations() -> dict[tuple[str, str], set[str]]:
    """Every operation of the API, and what its query may say."""
    found = {}
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            found[method.upper(), shape(path)] = named
    return found


def test_every_operation_that_a_page_names_is_there_with_what_its_query_says() -> None:
    there, wrong, seen = operations(), [], 0
    for page in sorted(DOCS.glob("*.md")):
        for method, path, query in OPERATION.findall(page.read_text()):
            if path.startswith(NO_VERSION):
                continue
            seen += 1
            full = shape(path if path.startswith("/api/v1") else f"/api/v1{path}").rstrip(".")
            asked = {part.partition("=")[0] for part in query.split("&") if part}
            if not asked <= there.get((method, full), set()) or (method, full) not in there:
                wrong.append(f"{page.name}: {method} {path}?{query}")
    assert wrong == []
    assert seen > 20


@pytest.mark.parametrize("name", PAGES)
def test_every_page_that_a_page_names_is_there(name: str) -> None:
    wrong = []
    for path in PAGE.findall((DOCS / f"{name}.md").read_text()):
        if path.startswith(ON_DISK) or path in NOT_OURS:
            continue
        try:
            resolve(re.sub(r"<\w+>|\b[A-Z]+\b", "x", path))
        except Resolver404:
            wrong.append(path)
    assert wrong == []
