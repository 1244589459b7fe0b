"""docs/command-line.md describes every command and option there is, and none that is not."""

import argparse
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from deployments.management.base import PortalCommand

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/command-line.md").read_text()
OURS = sorted(name for name, app in get_commands().items() if app in {"deployments", "dashboard", "portal"})
INHERITED = {option for action in BaseCommand().create_parser("", "")._actions for option in action.option_strings}


def sections() -> dict[str, str]:
    """The text below each `### command …` heading, by the command's name."""
    parts = re.split(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for heading, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"`(\w+)", heading):
            found[name] = f"{heading}\n{text}"
    return found


def parser_of(name: str) -> argparse.ArgumentParser:
    command = load_command_class(get_commands()[name], name)
    return command.create_parser("manage.py", name)


def options_of(name: str) -> list[str]:
    own = [action.option_strings for action in parser_of(name)._actions]
    return [options[-1] for options in own if options and not INHERITED & set(options) and options[-1] != "--json"]


def test_exactly_the_commands_that_exist_are_described() -> None:
    assert sorted(sections()) == OURS


@pytest.mark.parametrize("name", OURS)
def test_every_option_is_described(name: str) -> None:
    text = sections()[name]
    assert [option for option in options_of(name) if f"`{option}" not in text and f", `{option}" not in text] == []


@pytest.mark.parametrize("name", OURS)
def test_no_option_is_described_that_does_not_exist(name: str) -> None:
    described = set(re.findall(r"^\| .*?\|", sections()[name], flags=re.MULTILINE))
    named = {option for row in described for option in re.findall(r"--[a-z0-9-]+", row)}
    assert named <= {option for action in parser_of(name)._actions for option in action.option_strings}


@pytest.mark.parametrize("name", OURS)
def test_every_command_can_answer_in_json_and_ends_with_our_codes(name: str) -> None:
    assert isinstance(load_command_class(get_commands()[name], name), PortalCommand)


@pytest.mark.parametrize("name", OURS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    options = [action for action in parser_of(name)._actions if action.option_strings]
    assert not [action.option_strings for action in options if not action.help]
