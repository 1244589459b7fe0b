"""The sandbox server answers as the recorded one did: every event to every client, in order, with its data."""

import asyncio
import functools

import pytest

from tests.sandbox.cytube.recording import heard, read, scenarios
from tests.sandbox.cytube.replay import Replay

#: First and last scenario of each run of the recording; every run had a server of its own.
RUNS = (("01", "29"), ("setpw", "setpw"), ("31", "31"), ("34", "34"))
TITLES = [(run, title) for run in RUNS for title in scenarios(read(first=run[0], last=run[1]))]


@functools.cache
def replay(run: tuple[str, str]) -> Replay:
    """The run, replayed once for all tests that look at it."""
    result = Replay(read(first=run[0], last=run[1]))
    asyncio.run(result.run())
    return result


@pytest.mark.parametrize(("run", "title"), TITLES, ids=[title for _, title in TITLES])
def test_scenario_goes_as_recorded(run: tuple[str, str], title: str) -> None:
    assert "\n".join(replay(run).differences[title]) == ""


@pytest.mark.parametrize("run", RUNS)
def test_nothing_in_the_recording_is_left_out(run: tuple[str, str]) -> None:
    assert replay(run).compared == len(list(heard(read(first=run[0], last=run[1]))))


def test_every_scenario_belongs_to_a_run() -> None:
    ends = {"30 end", "35 end"}
    assert set(scenarios(read())) - ends == {title for _, title in TITLES}
