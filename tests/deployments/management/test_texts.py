"""Texts from elsewhere reach terminals, logs of runners and summaries as texts, and as nothing else."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from deployments.management.base import PortalCommand
from deployments.management.summary import deployment_summary, failure_summary
from deployments.management.texts import markdown, one_line

HOSTILE = "a\n::add-mask::b\r\x1b[2J`id` $(id) | <b> [x](javascript:1) @team https://example.org *now*\u2028\x00"


def test_one_line_has_no_control_character_and_no_second_line() -> None:
    shown = one_line(HOSTILE)
    assert shown.isprintable()
    assert not shown.startswith("::")
    assert "$(id)" in shown


@pytest.mark.parametrize("mark", ["`id`", " | ", "<b>", "[x]", "*now*", "@team", "https://"])
def test_markdown_shows_marks_as_they_are(mark: str) -> None:
    assert mark in HOSTILE
    assert mark not in markdown(HOSTILE)


def document(**changes: object) -> dict[str, object]:
    return {
        "release": "1.0.0-abc",
        "environment": "test",
        "status": "succeeded",
        "exit_code": 0,
        "sentence": "runs",
        "requested_by": "github:alice",
        "approved_by": [],
        "reason": "",
        "seconds": 4.25,
        "seal": "f" * 64,
        "targets": [{"server": "t", "from": None, "sentence": "well", "steps": {"stage": 0.5, "verify": None}}],
        **changes,
    }


def test_a_summary_tells_how_it_ended_how_long_each_step_took_and_where_to_look() -> None:
    text = deployment_summary(document(), {"page": "https://portal/deployments/1/"})
    assert "→ test: ✅ Succeeded" in text
    assert "| t | nothing | 0.50 s |  | well |" in text
    assert "- took 4.2 s" in text
    assert "- [page](https://portal/deployments/1/)" in text


def test_a_hostile_reason_stays_one_line_of_text_in_a_summary() -> None:
    text = deployment_summary(document(reason=HOSTILE, sentence=HOSTILE), {})
    plain = deployment_summary(document(reason="x", sentence="x"), {})
    assert len(text.splitlines()) == len(plain.splitlines())
    assert "<b>" not in text
    assert len(failure_summary("Nothing was deployed", HOSTILE).splitlines()) == 4


def test_a_deployment_that_goes_on_is_shown_with_its_status() -> None:
    assert "→ test: running" in deployment_summary(document(status="running", exit_code=None, seconds=None), {})


OURS = sorted(
    name
    for name, app in get_commands().items()
    if isinstance(app, str) and isinstance(load_command_class(app, name), PortalCommand)
)


@pytest.mark.parametrize("name", OURS)
def test_no_command_begins_with_an_argument_that_is_no_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a terminal hands over bytes that are none of its encoding; whichever argument it is, alone or in a list."""
    command: Any = load_command_class(get_commands()[name], name)
    monkeypatch.setattr(type(command), "run", lambda *_: pytest.fail("it began"))
    for given in ("te\udcff", Path("/a\udcff"), ["echo", "\udcff"], ("\ud800",)):
        with pytest.raises(CommandError, match=r"What was given for where is no text in UTF-8.") as refused:
            command.handle(json=False, where=given)
        assert refused.value.returncode == 2
