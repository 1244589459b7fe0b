"""A real Chromium that notices what a person's would: errors, blocked resources, violations of accessibility."""

import gc
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect, sync_playwright

AXE = Path(__file__).resolve().parent.parent / "data" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""Other tests boot servers meanwhile: Chromium drops what it loads when this machine gets or loses an interface.

What such a page says until the next one comes is about scripts that it did not get.
"""
_NEXT_PAGE = "\0"
SIZES = {"desktop": (1280, 900), "phone": (390, 800)}
SCREENSHOTS = os.environ.get("PORTAL_SCREENSHOTS", "")
"""A directory for pictures of what a test sees; without it none are kept."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def settled(page: Page) -> None:
    """Wait until a page is whole; one that follows a deployment asks for more without end."""
    page.wait_for_load_state("load")
    expect(page.locator(".htmx-request, [aria-busy=true]")).to_have_count(0, timeout=30_000)


@dataclass
class Visitor:
    """A person with a browser. What the console says is an error unless it was expected."""

    context: BrowserContext
    page: Page
    expected: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What the browser said that nobody expected."""
        complaints, torn = [], False
        for line in self.said:
            torn = line != _NEXT_PAGE and (torn or _NETWORK_CHANGED in line)
            if not torn and line != _NEXT_PAGE and not any(word in line for word in self.expected):
                complaints.append(line)
        return complaints

    def settled(self) -> None:
        """The page is whole: loaded, nothing of it is being asked anew, and a log that it follows was answered once."""
        settled(self.page)

    def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 A and AA, one line for each element."""
        self.settled()  # what is being asked anew is dimmed
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES)
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self, name: str, *, whole: bool = True) -> None:
        """Keep a picture for the documentation, when a directory for them was given."""
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SCREENSHOTS}/{name}.png", full_page=whole)


@pytest.fixture(scope="module")
def chromium(django_db_setup: None, django_db_blocker: Any) -> Iterator[Browser]:
    """One browser for the tests of a module.

    Not longer: playwright's event loop runs in this thread meanwhile, and other modules have tests with loops of their
    own. Django refuses its database beside a loop unless it is told otherwise, and keeps other connections there: those
    from before are closed, because they would see the database replaced under them.
    """
    with django_db_blocker.unblock():
        connections.close_all()
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()
    gc.collect()  # what playwright left open ends here, where it is expected, and not in somebody else's test


class Visitors:
    """Opens browsers, and closes them at the end."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.all: list[Visitor] = []

    def __call__(self, *, scheme: Any = "light", size: str = "desktop", **more: Any) -> Visitor:
        """Somebody new, without cookies."""
        width, height = SIZES[size]
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **more
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        visitor = Visitor(context, page)
        page.on("console", lambda message: self._heard(visitor, message.type, message.text))
        page.on("pageerror", lambda error: visitor.said.append(str(error)))
        page.on("requestfailed", lambda request: self._failed(visitor, request.failure))
        page.on("framenavigated", lambda frame: self._came(visitor, frame))
        self.all.append(visitor)
        return visitor

    @staticmethod
    def _failed(visitor: Visitor, why: str | None) -> None:
        if why == _NETWORK_CHANGED:
            visitor.said.append(why)

    @staticmethod
    def _came(visitor: Visitor, frame: Frame) -> None:
        if frame == visitor.page.main_frame:
            visitor.said.append(_NEXT_PAGE)

    @staticmethod
    def _heard(visitor: Visitor, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            visitor.said.append(text)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visitors]:
    """`visit(scheme="dark", size="phone")`: somebody with a browser; at the end none of them may have complaints."""
    visitors = Visitors(chromium)
    yield visitors
    complaints = [line for visitor in visitors.all for line in visitor.complaints()]
    for visitor in visitors.all:
        visitor.context.close()
    if complaints:
        pytest.fail("the browser complained: " + "\n".join(complaints))
