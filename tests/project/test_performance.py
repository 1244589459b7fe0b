"""Benchmarks are remembered: what was measured, on what, and whether a ratio got worse than its noise."""

from typing import Any

import pytest

from benchmarks import agent_start
from benchmarks.__main__ import main, measure, regressions
from benchmarks.results import PAGE, Measured, kept, machine, page, worse


def run(name: str, ratio: float) -> dict[str, Any]:
    line = f"ours   12.0 ms   {ratio:.2f} ×"
    about = machine()
    measured = [vars(Measured(name, 0, 3.0, [line]))]
    return {"at": "2026-05-04T12:00:00+00:00", "machine": about, "measured": measured}


@pytest.mark.parametrize(
    ("name", "was", "now", "said"),
    [
        ("redeploy", 0.60, 0.65, []),
        ("redeploy", 0.60, 0.75, ["redeploy: ratio 1 was 0.60 ×, and is 0.75 ×"]),
        ("redeploy", 0.60, 0.30, []),
        ("agent_start", 1.00, 1.20, ["agent_start: ratio 1 was 1.00 ×, and is 1.20 ×"]),
        ("health_proxy", 0.92, 0.70, ["health_proxy: ratio 1 was 0.92 ×, and is 0.70 ×"]),
        ("health_proxy", 0.92, 1.20, []),
    ],
)
def test_a_ratio_that_got_worse_than_its_noise_is_named(name: str, was: float, now: float, said: list[str]) -> None:
    assert worse(run(name, was), run(name, now)) == said


def test_what_was_not_measured_before_is_compared_with_nothing() -> None:
    assert worse(run("redeploy", 0.5), run("rollback", 9.0)) == []


def test_the_page_says_what_was_measured_on_what() -> None:
    text = page(run("redeploy", 0.6))
    assert "ours   12.0 ms   0.60 ×" in text
    assert f"{machine()['cores']} cores" in text


def test_the_page_is_the_one_of_the_last_run() -> None:
    if runs := kept():
        assert PAGE.read_text() == page(runs[-1]), "run: python -m benchmarks.results"
    else:
        assert not PAGE.exists()


def ratio(name: str, value: float) -> Measured:
    return Measured(name, 0, 3.0, [f"ours   12.0 ms   {value:.2f} ×"])


@pytest.mark.parametrize(("first", "second", "regressed"), [(0.9, 0.9, True), (0.9, 0.6, False), (0.6, 0.9, False)])
def test_what_is_worse_once_is_measured_again(first: float, second: float, regressed: bool) -> None:
    asked = []

    def again(name: str) -> Measured:
        asked.append(name)
        return ratio(name, second)

    said = regressions(run("redeploy", 0.6), [ratio("redeploy", first)], again)
    assert bool(said) == regressed
    assert asked == (["redeploy"] if first > 0.7 else [])


def test_a_measurement_that_breaks_off_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_argv: object) -> int:
        raise RuntimeError("no server")

    monkeypatch.setattr(agent_start, "main", breaks)
    found = measure("agent_start")
    assert (found.code, found.lines) == (1, ["It broke off: RuntimeError: no server"])


def test_options_behind_a_name_are_that_measurements_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def measured(argv: list[str]) -> int:
        given.append(argv)
        return 7

    monkeypatch.setattr(agent_start, "main", measured)
    assert main(["agent_start", "--repeats", "3", "--servers", "1", "4"]) == 7
    assert given == [["--repeats", "3", "--servers", "1", "4"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["redeplyo"], "There is no measurement redeplyo: there are agent_start, redeploy,"),
        (["agent_start", "redeploy", "--repeats", "3"], "--repeats belongs to one measurement:"),
        (["--repeats", "3"], "--repeats belongs to one measurement:"),
    ],
)
def test_words_that_name_no_measurement_are_answered_in_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(said)
