"""Every command block is marked, and every management command in the documentation exists, with its options."""

import re

import pytest
from django.core.management import get_commands, load_command_class

from tests.project.blocks import PAGES, ROOT, blocks, management_commands

_FOREIGN = {"help", "check", "migrate", "createsuperuser", "shell", "dbshell"}


def test_every_command_block_is_run_by_a_test_or_says_that_it_is_an_example() -> None:
    unmarked = [block.where for page in PAGES for block in blocks(page) if block.mark not in {"run", "example"}]
    assert unmarked == [], "write ```sh run (a test runs it) or ```sh example"


def options_of(name: str) -> set[str]:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    return {option for action in parser._actions for option in action.option_strings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_management_command_named_exists_with_its_options(page: object) -> None:
    wrong = []
    for command in management_commands(page):  # type: ignore[arg-type]  # a path
        name = command.split()[0]
        if name not in get_commands() and name not in _FOREIGN:
            wrong.append(command)
        elif name not in _FOREIGN:
            wrong += [command for option in re.findall(r"(?<!\S)--[a-z-]+", command) if option not in options_of(name)]
    assert wrong == []


REFUSED_WITHOUT = {"rollback": "--reason", "backup": "--passphrase-file"}
"""Options that a command parses without, and is refused without."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_management_command_is_printed_that_would_be_refused(page: object) -> None:
    printed = [command for command in management_commands(page) if " " in command]  # type: ignore[arg-type]  # a path
    refused = [each for each in printed if REFUSED_WITHOUT.get(each.split()[0], "") not in each]
    assert refused == []


def test_there_are_many() -> None:
    assert sum(len(management_commands(page)) for page in PAGES) > 60
