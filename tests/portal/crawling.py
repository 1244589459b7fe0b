"""A crawl: every page that links lead to, as one person."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

OF_A_KIND = 2
"""Pages of one kind that are opened, deployments apart: two releases are enough to know what releases look like."""
LEFT_OUT = re.compile(
    r"^/(static|metrics|alertmanager|prometheus|api/(?!v1/docs))|logout|jsi18n|sign-on|/log$|/journal/"
    r"|[?&](o|part|p|e|q|before|seen|next|_facets|_changelist_filters)=|[?].*&"
)
"""What no person reads, what asks somebody outside, and lists in every order and by every two filters at once."""
_LINK = re.compile(r'<(?:a|option) [^>]*(?:href|value)="([^"#]+)')
_FRAGMENT = re.compile(r'(?:hx-get|data-log)="([^"]+)"')


@dataclass(frozen=True)
class Page:
    """One answer, and the page whose link led to it."""

    origin: str
    path: str
    answer: Any

    @cached_property
    def html(self) -> str:
        """Its text; empty for what is no page."""
        if self.answer.streaming or "html" not in self.answer.headers.get("Content-Type", ""):
            return ""
        return str(self.answer.content.decode())

    @cached_property
    def words(self) -> str:
        """What is read on it: without what people or machines wrote (logs, code, drawings)."""
        text = re.sub(r"(?s)<(script|style|pre|select|svg|textarea)\b.*?</\1>", " ", self.html)
        text = re.sub(r"(?s)<code\b.*?</code>", " … ", text)
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "\n", text)).replace("\n", " | "))


@dataclass
class Crawl:
    """What one person can reach from the front door and from every address without a parameter. `views`: by a link."""

    who: str
    left_out: str = "/docs/."
    client: Client = field(default_factory=Client)
    views: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.who:
            person = User.objects.get(username=self.who)
            self.client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")

    def pages(self) -> Iterator[Page]:
        """Every page once, two of a kind."""
        waiting, later = [("", "/")], [("", path) for path in plain_addresses()]
        seen: set[str] = set()
        found: dict[str, int] = {}
        while waiting or later:
            if not waiting:
                waiting, later = later, []
            origin, path = waiting.pop(0)
            kind = kind_of(path)
            limit = 1 if "?" in path else OF_A_KIND
            if (
                path in seen
                or LEFT_OUT.search(path)
                or (self.left_out and re.match(self.left_out, path))
                or found.get(kind, 0) >= limit
            ):
                continue
            seen.add(path)
            found[kind] = found.get(kind, 0) + 1
            page = Page(origin, path, self.client.get(path))
            match = getattr(page.answer, "resolver_match", None)
            if match is not None and origin:
                self.views.add(match.view_name)
            yield page
            waiting += [(path, link) for link in links(page)]


def links(page: Page) -> Iterator[str]:
    """Addresses of the portal that a page leads to: links, fragments it fetches, and where it sends people."""
    if page.answer.status_code in {301, 302}:
        yield page.answer.headers["Location"]
    for link in [*_LINK.findall(page.html), *_FRAGMENT.findall(page.html)]:
        link = unescape(link)
        if link.startswith("?"):
            link = page.path.split("?")[0] + link
        if link.startswith("/"):
            yield link


def kind_of(path: str) -> str:
    """The same for pages that differ in numbers and names alone. Every deployment is of its own kind: of its state."""
    if re.match(r"(/deployments|/admin/deployments/deployment)/\d+/[a-z-]*/?$", path):
        return path
    return re.sub(r"/(\d+|[a-z]+-1)(?=/|$)", "/N", re.sub(r"=[^&]*", "=", path)).removesuffix("?")


def patterns(resolver: URLResolver | None = None, before: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    """Every view of the URL conf by name, and its address as a pattern."""
    for each in (resolver or get_resolver()).url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from patterns(each, route, f"{space}{each.namespace}:" if each.namespace else space)
        elif isinstance(each, URLPattern):
            yield f"{space}{each.name}" if each.name else each.lookup_str, "/" + route


def plain_addresses() -> list[str]:
    """Addresses of the URL conf that take no parameter."""
    return [path for _, path in patterns() if not re.search(r"[<(^$\\]", path)]
