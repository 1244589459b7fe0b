"""Rendered configuration."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.errors import BadTemplate
from engine.artifacts.rendering import render_config, render_file
from engine.remote.plan import config_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def test_tables_are_merged_and_anything_else_is_replaced() -> None:
    template = b'{"user": {"name": "a", "rank": 1}, "tags": [1, 2], "log": "INFO"}'
    rendered = render_config(template, {"user": {"name": "\u00fc"}, "tags": [3], "new": {"x": None}})
    assert rendered.decode() == (
        '{\n  "log": "INFO",\n  "new": {\n    "x": null\n  },\n  "tags": [\n    3\n  ],\n'
        '  "user": {\n    "name": "\u00fc",\n    "rank": 1\n  }\n}\n'
    )


@given(TABLES)
def test_equal_configuration_has_equal_bytes(table: dict[str, Any]) -> None:
    rendered = render_config(json.dumps(table).encode(), {})
    shuffled = json.dumps(dict(reversed(table.items())), indent=4, ensure_ascii=False)
    assert render_config(shuffled.encode(), {}) == rendered
    assert json.loads(rendered) == table


@given(TABLES, TABLES)
def test_what_is_set_wins_and_the_rest_stays(table: dict[str, Any], overrides: dict[str, Any]) -> None:
    rendered = json.loads(render_config(json.dumps(table).encode(), overrides))
    assert set(rendered) == set(table) | set(overrides)
    assert render_config(json.dumps(rendered).encode(), overrides) == render_config(
        json.dumps(table).encode(), overrides
    )
    for key, value in overrides.items():
        if not isinstance(value, dict):
            assert rendered[key] == value


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (b"", "not proper JSON"),
        (b"{", "not proper JSON"),
        (b"\xff", "not proper JSON"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
    ],
)
def test_a_template_that_is_not_a_json_object_is_refused(template: bytes, why: str) -> None:
    with pytest.raises(BadTemplate, match=why):
        render_config(template, {})


def test_other_formats_are_copied_and_take_no_values() -> None:
    assert render_file("bot.ini", b"[bot]\r\n", {}) == b"[bot]\r\n"
    assert render_file("bot.conf", b"\xff", {}) == b"\xff"
    assert render_file("bot.json", b"{}", {"a": 1}) == b'{\n  "a": 1\n}\n'
    with pytest.raises(BadTemplate, match=r"only \.json, \.yaml, "):
        render_file("bot.conf", b"", {"a": 1})


def test_the_digest_tells_names_and_contents_apart() -> None:
    digests = [config_digest(files) for files in ({}, {"a": b"1"}, {"b": b"1"}, {"a": b"2"}, {"a": b"1", "b": b"1"})]
    assert len(set(digests)) == 5
    assert config_digest({"b": b"1", "a": b"1"}) == digests[-1]
