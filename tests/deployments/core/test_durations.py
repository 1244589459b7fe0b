"""A duration has one form, whatever says it."""

import re
from pathlib import Path

import pytest
from django.template import Context, Template

from deployments.admin import labels
from deployments.core.texts import spoken

ROOT = Path(__file__).resolve().parents[3]
BY_HAND = re.compile(r"seconds[^}\n]*\|floatformat[^}]*\}\} s\b|// 60\}? min")


@pytest.mark.parametrize(("seconds", "words"), [(0.04, "0.0 s"), (41, "41 s"), (125, "2 min 5 s"), (43200, "12 h")])
def test_lists_templates_and_sentences_say_it_alike(seconds: float, words: str) -> None:
    for library in ("ops", "wording"):
        drawn = Template("{% load " + library + " %}{{ seconds|duration }}").render(Context({"seconds": seconds}))
        assert drawn == words
    assert labels.seconds(seconds) == spoken(seconds) == words
    assert labels.seconds(None) == labels.NONE


def test_no_page_makes_one_of_its_own() -> None:
    pages = [path for room in ("dashboard", "deployments", "portal") for path in (ROOT / room).rglob("*.html")]
    sources = (ROOT / "deployments" / "admin").rglob("*.py")
    assert [path.name for path in [*pages, *sources] if BY_HAND.search(path.read_text())] == []
    assert BY_HAND.search("{{ took_seconds|floatformat:1 }} s")
