"""A moderators' evening: the bot's view is the server's, nothing is lost or said twice, and nobody is alerted."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
import yaml

from botcore.commands import wording
from tests.botcore import evening as evenings
from tests.botcore.evening import SAMPLE, Evening

RULES = Path(__file__).parents[2] / "monitoring" / "rules" / "bots.yml"
LABELS = 'job="bots", environment="production", server="prod-1"'
# How an order may fail that was under way when the connection broke: nobody's mistake, and not the bot's either.
BROKEN = {"unreachable", "not_sent"}


def spend(folder: Path, *, orders: int, people: int, every: float, cuts: int) -> Evening:
    done = asyncio.run(evenings.spend(folder, orders=orders, people=people, every=every, cuts=cuts))
    print(
        f"{done.orders} orders in {done.seconds:.0f} s, {done.sessions} sessions, outcomes {dict(done.outcomes)},"
        f" errors {done.errors}, outbound {dict(done.outbound)}, {done.lines} lines of the bot"
    )
    return done


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    return spend(tmp_path_factory.mktemp("short"), orders=120, people=60, every=0.3, cuts=1)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    return spend(tmp_path_factory.mktemp("full"), orders=2000, people=200, every=7200 / 2000 / evenings.DENSITY, cuts=5)


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """An evening with a release that has a bug: every length of time is a division by zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wording, "duration", lambda seconds: 1 // 0)
        return spend(tmp_path_factory.mktemp("failing"), orders=160, people=20, every=0.2, cuts=1)


def check(done: Evening) -> None:
    assert done.differs == ""
    assert done.sessions >= done.cuts + 2
    assert done.lost() == []
    assert done.twice() == []
    assert done.altered() == []
    assert set(done.errors) <= BROKEN, "what people cause is no error"
    assert sum(done.errors.values()) <= len(evenings.RANKS) * (done.cuts + 1), "one order a moderator and break"
    assert set(done.outcomes) <= BROKEN | {"ok", "usage", "refused"}
    assert done.outcomes["refused"] > 0
    assert done.outcomes["usage"] > 0
    assert set(done.outbound) <= {"delivered", "unconfirmed", "refused"}
    assert done.outbound["unconfirmed"] <= done.cuts + 1
    assert done.outbound["delivered"] <= done.lines <= done.outbound["delivered"] + done.outbound["unconfirmed"]


def alerts(done: Evening, folder: Path, *, expected: str = "") -> subprocess.CompletedProcess[str]:
    """What the shipped rules make of it, at every minute; or whether `expected` fires at the end."""
    names = sorted({name for sample in done.samples for name in sample})
    series = []
    for name in names:
        metric, _, labels = name.rstrip("}").partition("{")
        full = f"{metric}{{{LABELS}{', ' if labels else ''}{labels}}}"
        series.append(
            {
                "series": full,
                "values": " ".join(f"{sample[name]:g}" if name in sample else "_" for sample in done.samples),
            }
        )
    count = len(done.samples)
    for name, values in (("up", f"1x{count}"), ("scrape_duration_seconds", f"0.01x{count}")):
        series.append({"series": f"{name}{{{LABELS}}}", "values": values})
    last = int((count - 1) * SAMPLE)
    if expected:
        firing = f'ALERTS{{alertname="{expected}", alertstate="firing"}}'
        cases = [
            {"expr": f"count({firing}) > 0", "eval_time": f"{last}s", "exp_samples": [{"labels": "{}", "value": 1}]}
        ]
    else:
        cases = [
            {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{at}s", "exp_samples": []}
            for at in range(0, last, 60)
        ]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [{"interval": f"{SAMPLE:.0f}s", "input_series": series, "promql_expr_test": cases}],
    }
    path = folder / "evening.yml"
    path.write_text(yaml.safe_dump(document, width=1_000_000))
    return subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_short_evening_ends_as_it_should(short: Evening) -> None:
    check(short)


@pytest.mark.monitoring
def test_a_short_evening_raises_no_alert(short: Evening, tmp_path: Path) -> None:
    judged = alerts(short, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.monitoring
def test_a_bot_that_really_fails_raises_the_alert(failing: Evening, tmp_path: Path) -> None:
    assert failing.errors["exception"] >= 5
    judged = alerts(failing, tmp_path, expected="HighErrorRate")
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.full
def test_a_whole_evening_ends_as_it_should(full: Evening) -> None:
    check(full)


@pytest.mark.full
@pytest.mark.monitoring
def test_a_whole_evening_raises_no_alert(full: Evening, tmp_path: Path) -> None:
    judged = alerts(full, tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr
