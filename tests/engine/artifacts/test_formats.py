"""Values merged into every format, and an application's own schema."""

import configparser
import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts.errors import BadConfiguration, BadTemplate
from engine.artifacts.formats import format_of
from engine.artifacts.json_input import line_of, read_typed
from engine.artifacts.rendering import check_kinds, check_template, render_file

TEMPLATES = {
    "a.json": b'{"room": {"name": "tea", "seats": 4}, "open": true}',
    "a.yaml": b"room: {name: tea, seats: 4}  # as it is\nopen: true\n",
    "a.toml": b'open = true\n\n[room]\nname = "tea"  # as it is\nseats = 4\n',
    "a.ini": b"[room]\nName = tea\nseats: 4\n; as it is\n[DEFAULT]\nx = %(y)s\n",
    "a.env": b'# as it is\nNAME=tea\nSEATS=\'4\'\nexported="a \\"b\\" \\$c"\n',
}
LETTERS = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp", "Zs"])
TEXTS = st.text(LETTERS | st.sampled_from(" \"'\\$`#;"), max_size=8)


def read(name: str, content: bytes) -> Any:
    """By another reader than ours where there is one."""
    text = content.decode()
    if name.endswith(".json"):
        return json.loads(text)
    if name.endswith(".yaml"):
        return yaml.safe_load(text)
    return tomllib.loads(text)


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - {"a.json"}))
def test_without_values_a_template_is_copied_byte_for_byte(name: str) -> None:
    assert render_file(name, TEMPLATES[name], {}) == TEMPLATES[name]


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.toml"])
def test_values_keep_their_kind(name: str) -> None:
    values: dict[str, Any] = {"room": {"seats": 5.5, "tags": ["x", 1]}, "new": {"deep": {"on": False}}, "text": "1"}
    rendered = read(name, render_file(name, TEMPLATES[name], values))
    assert rendered == {
        "room": {"name": "tea", "seats": 5.5, "tags": ["x", 1]},
        "open": True,
        "new": {"deep": {"on": False}},
        "text": "1",
    }


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.toml", "a.ini"])
@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), st.dictionaries(st.sampled_from("xyz"), TEXTS)))
def test_equal_values_have_equal_bytes(name: str, values: dict[str, Any]) -> None:
    try:
        rendered = render_file(name, TEMPLATES[name], values)
    except BadConfiguration:
        assert name == "a.ini"
        return
    assert render_file(name, TEMPLATES[name], dict(reversed(values.items()))) == rendered


def test_an_ini_file_keeps_sections_and_names() -> None:
    rendered = render_file("a.ini", TEMPLATES["a.ini"], {"room": {"Name": "café", "on": True}, "more": {"n": 3}})
    parser = configparser.RawConfigParser(default_section="none")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    parser.read_string(rendered.decode())
    assert {name: dict(parser[name]) for name in parser.sections()} == {
        "room": {"Name": "café", "seats": "4", "on": "true"},
        "DEFAULT": {"x": "%(y)s"},
        "more": {"n": "3"},
    }


@settings(max_examples=30)
@given(TEXTS)
def test_variables_are_what_they_were_set_to(value: str) -> None:
    rendered = render_file("a.env", TEMPLATES["a.env"], {"NEW": value, "NAME": "x", "NUMBER": 3, "ON": True})
    again = render_file("b.env", rendered, {"LAST": "1"})
    assert again == rendered + b"LAST=1\n"
    assert rendered.decode().splitlines()[0] == "NAME=x"
    assert b'exported="a \\"b\\" \\$c"\n' in rendered
    assert b"NUMBER=3\nON=true\n" in rendered


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("a.toml", {"x": None}, "TOML has no null"),
        ("a.ini", {"room": 3}, "sections"),
        ("a.ini", {"room": {"x": [1]}}, "a text, a number"),
        ("a.ini", {"x]\n[y": {"z": "1"}}, "cannot be written"),
        ("a.ini", {"room": {"x\n[y]\nz": "1"}}, "cannot be written"),
        ("a.env", {"A B": "x"}, "no name of a variable"),
        ("a.env", {"A": "x\nB=y"}, "one line"),
        ("a.env", {"A": {"b": 1}}, "a text, a number"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(name: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfiguration, match=words) as refused:
        render_file(name, TEMPLATES[name], values)
    assert refused.value.place[0] == name


@pytest.mark.parametrize(
    ("name", "template", "words"),
    [
        ("a.yaml", b"b: 2\na: &x [1]\nb: *x\n", "an anchor stands in line 2; write its value out"),
        ("a.yaml", b"a: 1\nb: *x\n", "an anchor stands in line 2"),
        ("a.yaml", b"a: 1\na: 2\n", "the key 'a' is there twice"),
        ("a.yaml", b"a: {b: 1, c: 2, b: 3}\n", "the key 'b' is there twice"),
        ("a.yaml", b"x: 1\n1: x\n", "the key 1 is no text; put it in quotes"),
        ("a.yaml", b"a: !!python/object/apply:os.system [x]\n", "could not determine a constructor"),
        ("a.yaml", b"a: 1\n---\nb: 2\n", "expected a single document"),
        ("a.yaml", b"", "is not a YAML object"),
        ("a.yaml", b"- a\n", "is not a YAML object. Give it keys with values."),
        ("a.toml", b"a = 1\na = 2\n", "not proper TOML"),
        ("a.ini", b"a = 1\n", "no section headers"),
        ("a.ini", b"[a]\nb=1\nb=2\n", "already exists"),
        ("a.env", b"A=1\nA=2\n", "the key 'A' is there twice"),
        ("a.env", b"# as it is\n\n  ;also\nexport A=1\n", "line 4 is not NAME=value"),
        ("a.env", b"A\n", "line 1 is not NAME=value"),
        ("a.env", b'B=1\nA="1\n', "line 2 has a quote that does not end"),
        ("a.env", b'A="\n', "line 1 has a quote that does not end"),
        ("a.env", b"A='1\"\n", "line 1 has a quote that does not end"),
        ("a.env", b"A=1\\\nB=2\n", "line 1 is continued on the next"),
        ("a.json", b"", "not proper JSON"),
        ("a.json", b"[]", "Begin it with { and end it with }"),
    ],
)
def test_a_template_that_would_lose_something_takes_no_values(name: str, template: bytes, words: str) -> None:
    with pytest.raises(BadTemplate) as refused:
        render_file(name, template, {"x": {"y": "1"}})
    assert words in str(refused.value)


def test_variables_are_read_without_their_quotes_and_written_where_the_shell_needs_them() -> None:
    form = format_of("a.env")
    assert form is not None
    lines = ["A=plain", " B= x ", 'C="a \\"b\\" \\$c \\\\ \\n"', "D='a \\\" b'", "E=", "F=''", '_G="x"']
    read_back = {"A": "plain", "B": "x", "C": 'a "b" $c \\ \\n', "D": 'a \\" b', "E": "", "F": "", "_G": "x"}
    assert form.read("\n".join(lines)) == read_back
    assert form.write({"A": "a b", "B": 'say "$x" `y` \\', "C": "http://x:1/@a%,=+-_.", "D": False, "E": ""}) == (
        'A="a b"\nB="say \\"\\$x\\" \\`y\\` \\\\"\nC=http://x:1/@a%,=+-_.\nD=false\nE=\n'
    )


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("a.json", "JSON"),
        ("A.YAML", "YAML"),
        ("b.yml", "YAML"),
        ("x.cfg", "INI"),
        (".env", "an environment file"),
        ("env", None),
        ("a.conf", None),
        ("json", None),
    ],
)
def test_a_format_is_known_by_the_ending_of_the_name(name: str, title: str | None) -> None:
    form = format_of(name)
    assert (form.title if form else None) == title


def test_one_value_in_two_places_is_written_out_twice() -> None:
    same = {"x": [1]}
    assert render_file("a.yaml", b"a: 1\n", {"b": same, "c": [same, same]}) == (
        b"a: 1\nb:\n  x:\n  - 1\nc:\n- x:\n  - 1\n- x:\n  - 1\n"
    )


SCHEMA = json.dumps(
    {
        "type": "object",
        "required": ["room", "secret"],
        "additionalProperties": False,
        "properties": {
            "open": {"type": "boolean"},
            "secret": {"type": "string"},
            "room": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"name": {"pattern": "^(a+)+$|tea"}, "seats": {"type": "integer", "maximum": 9}},
            },
        },
    }
).encode()


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.toml"])
@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"room": {"seats": "x"}}, ["room", "seats"]),
        ({"room": {"seats": 10}}, ["room", "seats"]),
        ({"room": {"nmae": "x"}}, ["room", "nmae"]),
        ({"rooms": {}}, ["rooms"]),
        ({"room": {"name": "a" * 60 + "b"}}, ["room", "name"]),
    ],
)
def test_the_schema_of_the_application_is_asked(name: str, values: dict[str, Any], place: list[str]) -> None:
    with pytest.raises(BadConfiguration) as refused:
        render_file(name, TEMPLATES[name], {"secret": "s", **values}, SCHEMA)
    assert refused.value.place == (name, *place)
    with pytest.raises(BadConfiguration, match="secret"):
        render_file(name, TEMPLATES[name], {}, SCHEMA)
    check_template(name, TEMPLATES[name], SCHEMA)
    assert render_file(name, TEMPLATES[name], {"secret": "s"}, SCHEMA)


@pytest.mark.parametrize(
    "schema", [b"", b"[]", b'{"type": "nope"}', b'{"$ref": "http://127.0.0.1:9/x"}', b'{"$ref": "file:///etc/passwd"}']
)
def test_a_schema_that_cannot_be_applied_says_so_and_fetches_nothing(schema: bytes) -> None:
    with pytest.raises(BadTemplate, match="schema cannot be used"):
        render_file("a.json", b"{}", {}, schema)


def test_kinds_are_those_of_the_template() -> None:
    template = b'{"a": 1, "b": "x", "c": null, "d": {"e": [1]}}'
    check_kinds("a.json", template, {"a": 2.5, "b": None, "c": [], "d": {"e": ["x"], "new": 1}, "more": {}})
    wrongs: list[dict[str, Any]] = [{"a": "1"}, {"a": True}, {"d": {"e": {}}}, {"d": 1}]
    for values, place in zip(wrongs, ("a", "a", "d.e", "d"), strict=True):
        with pytest.raises(BadConfiguration) as refused:
            check_kinds("a.json", template, values)
        assert refused.value.place == ("a.json", *place.split("."))
    check_kinds("a.env", b"A=1\n", {"A": 2})
    check_kinds("a.conf", b"\xff", {})


def test_a_place_has_a_line() -> None:
    text = '{"a": {"b": 1,\n\t"c": {"b": 2,\n"d": [0,\n{"e": 1}]}},\n"b": 3}'
    assert json.loads(text) == read_typed(text)
    lines = {("a", "b"): 1, ("a", "c", "b"): 2, ("b",): 5, ("a", "c", "d", 1, "e"): 4, ("a", "zz"): 1, ("zz",): 0}
    assert {place: line_of(text, place) for place in lines} == lines
    with pytest.raises(ValueError, match="Line 4: the key 'd'"):
        read_typed('{"a": [{"d": 1,\n"x": {\n},\n"d": 2}]}')
    with pytest.raises(ValueError, match="nested"):
        read_typed("[" * 100_000)
