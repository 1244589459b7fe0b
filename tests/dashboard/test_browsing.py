"""What a browser complains of counts, but for what a page says whose scripts did not come."""

from typing import Any, cast

import pytest

from tests.dashboard.browsing import Visitor, Visitors

CHANGED = "Failed to load resource: net::ERR_NETWORK_CHANGED"


def complaints(*said: str) -> list[str]:
    return Visitor(cast(Any, None), cast(Any, None), ["422"], list(said)).complaints()


def test_what_nobody_expected_counts() -> None:
    assert complaints("\0", "x is not defined", "the answer 422", "\0", "y is not defined") == [
        "x is not defined",
        "y is not defined",
    ]


def test_a_page_without_its_scripts_is_not_judged_and_the_next_one_is() -> None:
    assert complaints("\0", CHANGED, "theme is not defined", "\0", "y is not defined") == ["y is not defined"]
    assert complaints("\0", "x is not defined", CHANGED) == ["x is not defined"]


@pytest.mark.browser
def test_a_browser_tells_when_a_page_comes(visit: Visitors) -> None:
    visitor = visit()
    visitor.page.goto("data:text/html,<script>absent()</script>")
    visitor.page.goto("data:text/html,two")
    assert visitor.said.count("\0") == 2
    assert [line for line in visitor.complaints() if "absent is not defined" in line]
    visitor.expected.append("absent is not defined")
