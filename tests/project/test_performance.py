"""Benchmarks are remembered: what was measured, how and on what, and whether a ratio got worse than its noise."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import indent

import pytest

from benchmarks import page, results
from benchmarks.__main__ import INTERRUPTED, SHORT, main, measure, regressions
from benchmarks.results import LEFT_OUT, MEASUREMENTS, METHOD, Measured, Run, kept, machine, worse

AT = "2026-05-04T12:00:00+00:00"


def measured(name: str, ratio: float, options: Sequence[str] = (), code: int = 0) -> Measured:
    lines = [f"{METHOD}7 of each in turns", "redeploy, 1 server, 0 ms", f"  script   12.0 s   claim {ratio:.2f} ×"]
    return Measured(name, code, 3.0, lines, list(options), AT, [0.4, 1.9])


def run(*rows: Measured) -> Run:
    return Run(AT, machine(), list(rows))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results and page of this test alone."""
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(page, "PAGE", tmp_path / "performance.md")
    return tmp_path


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes measurements of these names whose `main(argv)` is this; they stand where ours do."""
    package = tmp_path / "elsewhere"
    package.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("benchmarks.__main__.PACKAGE", package.name)

    def make(body: str, *names: str) -> None:
        for name in names:
            text = "import os, sys\n\n\ndef main(argv):\n" + indent(body, "    ") + "\n"
            (package / f"{name}.py").write_text(text)

    return make


@pytest.mark.parametrize(
    ("name", "was", "now", "said"),
    [
        ("redeploy", 0.60, 0.65, []),
        ("redeploy", 0.60, 0.75, ["redeploy: redeploy, 1 server, 0 ms: script (1) was 0.60 ×, and is 0.75 ×"]),
        ("redeploy", 0.60, 0.30, []),
        ("health_proxy", 0.92, 0.70, ["health_proxy: redeploy, 1 server, 0 ms: script (1) was 0.92 ×, and is 0.70 ×"]),
        ("health_proxy", 0.92, 1.20, []),
    ],
)
def test_a_ratio_that_got_worse_than_its_noise_is_named(name: str, was: float, now: float, said: list[str]) -> None:
    assert list(worse(measured(name, was), measured(name, now)).values()) == said


def test_a_ratio_is_compared_with_that_of_its_own_line_whatever_was_left_out() -> None:
    with_peer = Measured(
        "redeploy", 0, 3.0, ["  Ansible   9.0 s   ours: claim 0.10 ×", "  script   1.0 s   claim 0.60 ×"]
    )
    without = Measured("redeploy", 0, 3.0, ["  script   1.0 s   claim 0.61 ×"])
    assert worse(with_peer, without) == {}


def test_the_page_says_how_and_on_what_each_was_measured_and_names_what_was_not(folder: Path) -> None:
    left_out = Measured("rollback", LEFT_OUT, 0.1, ["left out: no root"], [], AT, [0.4, 0.4])
    text = page.page(
        [
            run(measured("redeploy", 0.9), left_out),
            run(measured("redeploy", 0.6, ["--servers", "1"]), measured("growth", 1.2, code=1)),
        ]
    )
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert list(sections) == list(MEASUREMENTS)
    assert "  script   12.0 s   claim 0.60 ×" in sections["redeploy"]
    assert "Method: 7 of each in turns with `--servers 1`." in sections["redeploy"]
    assert f"Measured 2026-05-04 12:00 UTC on {machine()['cores']} ×" in sections["redeploy"]
    assert "at a load of 0.4 before it and 1.9 after" in sections["redeploy"]
    assert "Every promise was kept." in sections["redeploy"]
    assert "**Not every promise was kept.**" in sections["growth"]
    assert "Not measured: left out: no root" in sections["rollback"]
    assert all("Not measured yet." in sections[name] for name in set(MEASUREMENTS) - {"redeploy", "rollback", "growth"})


def test_the_page_is_the_one_of_the_last_run() -> None:
    if runs := kept():
        assert page.PAGE.read_text() == page.page(runs), "run: python -m benchmarks.page"
    else:
        assert not page.PAGE.exists()


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_says_by_what_method_it_measured(name: str) -> None:
    assert "{METHOD}" in inspect.getsource(importlib.import_module(f"benchmarks.{name}"))


@pytest.mark.parametrize(("first", "second", "regressed"), [(0.9, 0.9, True), (0.9, 0.6, False), (0.6, 0.9, False)])
def test_what_is_worse_once_is_measured_again(first: float, second: float, regressed: bool) -> None:
    asked = []

    def again(name: str, options: Sequence[str]) -> Measured:
        asked.append(name)
        return measured(name, second, options)

    said = regressions([run(measured("redeploy", 0.6))], [measured("redeploy", first)], again)
    assert bool(said) == regressed
    assert asked == (["redeploy"] if first > 0.7 else [])


@pytest.mark.parametrize(
    "before", [[], [run(measured("rollback", 0.5))], [run(measured("redeploy", 0.5, ["--rtt", "0"]))]]
)
def test_it_is_compared_with_the_same_measurement_of_the_same_form(before: list[Run]) -> None:
    assert regressions(before, [measured("redeploy", 9.0)], lambda *_: measured("redeploy", 9.0)) == []


def test_it_is_compared_with_the_last_run_that_has_it() -> None:
    before = [run(measured("redeploy", 9.0)), run(measured("redeploy", 0.5)), run(measured("rollback", 0.5))]
    assert regressions(before, [measured("redeploy", 0.9)], lambda *_: measured("redeploy", 0.9))


@pytest.mark.parametrize(("was", "code"), [(0.10, 1), (9.00, 0)])
def test_what_ci_runs_fails_when_a_ratio_got_worse(
    was: float,
    code: int,
    folder: Path,
    say: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    say('print("agent   9.9 ms   1.10 ×"); return 0', "agent_start")
    monkeypatch.setattr("benchmarks.__main__.SHORT", ("agent_start",))
    run(Measured("agent_start", 0, 3.0, [f"agent   9.9 ms   {was:.2f} ×"])).keep()
    assert main(["--short"]) == code
    assert ("agent_start: agent (1) was 0.10 ×" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize(("before", "code"), [(False, 0), (True, 1)])
def test_what_ci_runs_fails_when_no_kept_run_has_it(
    before: bool,
    code: int,
    folder: Path,
    say: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if before:
        run(measured("redeploy", 0.6)).keep()
    say('print("agent   9.9 ms   1.10 ×"); return 0', "agent_start")
    monkeypatch.setattr("benchmarks.__main__.SHORT", ("agent_start",))
    assert main(["--short"]) == code
    assert "Nothing was kept to compare agent_start with" in capsys.readouterr().out


def test_what_ci_compares_is_in_a_kept_run_once_there_is_one() -> None:
    runs = kept()
    assert [name for name in SHORT if runs and results.last(runs, name, ()) is None] == []


def test_ci_runs_the_short_ones() -> None:
    assert "run: make bench ARGS=--short" in (results.ROOT / ".github/workflows/ci.yml").read_text()


def test_who_interrupts_a_run_keeps_what_was_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def goes(name: str, options: Sequence[str] = ()) -> Measured:
        if name == "agent_start":
            raise KeyboardInterrupt
        return measured(name, 0.6, options)

    monkeypatch.setattr("benchmarks.__main__.measure", goes)
    assert main(["--small"]) == INTERRUPTED
    assert f"2 of {len(MEASUREMENTS)} are kept" in capsys.readouterr().err
    (found,) = kept()
    assert [(one.name, tuple(one.options)) for one in found.measured] == list(MEASUREMENTS.items())[:2]
    assert page.PAGE.read_text() == page.page([found])
    assert "## agent_start\n\nNot measured yet." in page.PAGE.read_text()


def test_what_is_named_to_be_kept_takes_its_place_on_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Run("2026-05-03T12:00:00+00:00", machine(), [measured("growth", 0.6), measured("fleet", 0.7)]).keep()
    monkeypatch.setattr("benchmarks.__main__.measure", lambda name, _=(): measured(name, 0.5))
    assert main(["--keep", "growth"]) == 0
    assert main(["--keep", "nothing"]) == 2
    assert "There is no measurement nothing" in capsys.readouterr().err
    shown = {part.split()[0]: part for part in page.PAGE.read_text().split("\n## ")[1:]}
    assert "claim 0.50 ×" in shown["growth"]
    assert "claim 0.70 ×" in shown["fleet"]
    assert [[one.name for one in each.measured] for each in kept()] == [["growth", "fleet"], ["growth"]]


@pytest.mark.parametrize(
    ("body", "code", "lines"),
    [
        ('raise RuntimeError("no server")', 1, ["It broke off: RuntimeError: no server"]),
        ('print("1 s"); raise SystemExit("it still runs")', 1, ["1 s", "It broke off: it still runs"]),
        ("raise SystemExit(0)", 0, []),
        ("os.kill(os.getpid(), 9)", 1, ["It broke off: killed by signal 9"]),
        ('print("left out: no root"); return 2', LEFT_OUT, ["left out: no root"]),
    ],
)
def test_a_measurement_that_breaks_off_costs_the_others_nothing(
    body: str, code: int, lines: list[str], say: Callable[..., None]
) -> None:
    say(body, "agent_start")
    found = measure("agent_start")
    assert (found.code, found.lines) == (code, lines)
    assert len(found.load) == 2


def test_what_one_measurement_left_behind_is_not_the_next_ones(folder: Path, say: Callable[..., None]) -> None:
    left = "before = os.environ.get('LEFT'), 'decimal' in sys.modules; os.environ['LEFT'] = '1'; import decimal"
    say(f"{left}\nprint(before); return 0", *MEASUREMENTS)
    assert main([]) == 0
    (found,) = kept()
    assert [one.lines for one in found.measured] == [["(None, False)"]] * len(MEASUREMENTS)


def test_options_behind_a_name_are_that_measurements_own(
    say: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    say("print(argv); return 7", "agent_start")
    assert main(["agent_start", "--repeats", "3", "--servers", "1", "4"]) == 7
    assert "['--repeats', '3', '--servers', '1', '4']" in capsys.readouterr().out


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_who_asks_a_measurement_for_help_gets_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: python -m benchmarks {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["redeplyo"], "There is no measurement redeplyo: there are redeploy, rollback,"),
        (["agent_start", "redeploy", "--repeats", "3"], "--repeats belongs to one measurement:"),
        (["--repeats", "3"], "--repeats belongs to one measurement:"),
    ],
)
def test_words_that_name_no_measurement_are_answered_in_a_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(said)
