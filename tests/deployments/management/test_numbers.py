"""Numbers on the command line: each option says what it can mean, and everything else is one sentence."""

from argparse import Action, ArgumentTypeError
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from deployments.management.numbers import Decimal, Whole
from tests.deployments.management.test_documentation import INHERITED, OURS, parser_of

HOSTILE = ["9" * 30, "-1", "1e400", "nan", "inf", "-inf", "", " ", "²", "٣", "1_000", "0x10", "one", "1" * 5000, "\x00"]
NUMBERED = [
    (name, action)
    for name in OURS
    for action in parser_of(name)._actions
    if action.type and not INHERITED.intersection(action.option_strings)
]


def numbers() -> Iterator[tuple[str, Action]]:
    return ((name, action) for name, action in NUMBERED if isinstance(action.type, Whole | Decimal))


def test_no_option_takes_whatever_python_takes_for_a_number() -> None:
    assert [(name, action.dest) for name, action in NUMBERED if action.type in (int, float, complex)] == []
    assert len(list(numbers())) > 10


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_such_number_is_refused_with_the_range(text: str) -> None:
    for name, action in numbers():
        assert isinstance(action.type, Whole | Decimal)
        with pytest.raises(ArgumentTypeError, match=r"is no (whole )?number from \S+ to \S+\.$") as refused:
            action.type(text)
        assert len(str(refused.value)) < 120, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("alerts acknowledge 1 --for 99999999999999", "from 1 to 1000000"),
        ("alerts acknowledge 99999999999999999999", "from 1 to 9007199254740992"),
        ("alerts acknowledge 1 --for 1000000 --comment x", "There is no alert 1"),
        ("silences make alertname=BotDown --reason x --for 1000000", "from 1 minute to 30 days"),
        ("validate start test --hours nan", "from 0 to 336"),
        ("validate start test --hours 1e-12", "from a minute up to 336 hours"),
        ("validate report ²", "There is no such validation"),
        ("history --limit -1", "from 1 to 1000000"),
        ("history --limit 0", "from 1 to 1000000"),
        ("drill restore --unless-within 999999999", "from 0 to 3650"),
        ("approve 99999999999999999999", "from 1 to 9007199254740992"),
        ("approve 9007199254740992", "There is no deployment 9007199254740992"),
        ("cancel 9007199254740992", "There is no deployment 9007199254740992"),
        ("reject 9007199254740992 --reason x", "There is no deployment 9007199254740992"),
        ("reap --wait inf", "from 0 to 1e+06"),
        ("enroll new --environment test --host h.invalid --port 65536", "from 1 to 65535"),
        ("environments add tea-bot/stage --approvals 100", "0 to"),
        ("backup --keep 0", "from 1 to 10000"),
        ("logs test --lines 1000000", "Between 1 and 5000 lines"),
        ("deploy test --timeout nan", "from 0 to 1e+06"),
    ],
)
@pytest.mark.django_db
def test_a_number_that_cannot_be_is_one_sentence(words: str, said: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(*words.split())
    assert said in str(refused.value)


@pytest.mark.parametrize("words", ["history --limit 1000000", "drill restore --unless-within 3650", "reap --wait 0"])
@pytest.mark.django_db
def test_the_largest_number_that_is_taken_can_be_used(words: str) -> None:
    if words.startswith("drill"):
        with pytest.raises(CommandError, match=r"(?i)passphrase"):
            call_command(*words.split())
    else:
        call_command(*words.split())
