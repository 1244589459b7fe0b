"""JSON that a person typed: every mistake is told in a sentence that names its line."""

import pytest

from engine.artifacts.json_input import line_of, read_typed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1,\n "b": }', "Line 2: this is no JSON: Expecting value (column 7)."),
        ("", "Line 1: this is no JSON: Expecting value (column 1)."),
        ('{\n"a": 1,\n"a": 2}', "Line 3: the key 'a' is there twice."),
        ('{"x": [0,\n{"y": {"a": 1,\n"a": 2}}]}', "Line 3: the key 'a' is there twice."),
        ('[{"a": 1},\n{"a": 1,\n\t"b": 2, "b": 3}]', "Line 3: the key 'b' is there twice."),
        ('{"a": {"b": 1},\n"b": 2,\n"b": 3}', "Line 3: the key 'b' is there twice."),
        ('{"a": NaN}', "NaN is no JSON number."),
        ("[" * 100_000, "This is nested too deeply."),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_typed(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 0),
        (("list",), 2),
        (("list", 0), 3),
        (("list", 1), 4),
        (("list", 1, "deep"), 5),
        (("list", 2), 2),
        (("list", 1, "unknown"), 4),
        (("list", "text"), 2),
        (("last",), 6),
        (("last", "below a value"), 6),
        (("unknown",), 0),
    ],
)
def test_the_line_of_a_place_or_of_the_last_part_of_the_way_there(place: tuple[str | int, ...], line: int) -> None:
    assert line_of('{\n"list": [\n1,\n{\n\t"deep": 2}],\n"last": 3}', place) == line


def test_a_text_that_is_none_has_no_lines() -> None:
    assert line_of('{"a": ', ("a",)) == 0
