"""The schedule of a soak, its diary, and what its report makes of both."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.demo.room import CytubeThread
from sandbox.hosts import unavailable_reason
from sandbox.load.life import Pace
from sandbox.load.moderator import Tally
from sandbox.soak import faults
from sandbox.soak.diary import Diary, Entry
from sandbox.soak.plan import DAY, scaled, schedule
from sandbox.soak.rooms import Rooms
from sandbox.soak.verdicts import verdicts

ROOT = Path(__file__).resolve().parents[3]


def test_a_compressed_day_has_everything_of_a_day_in_its_order() -> None:
    real, hour = schedule(24, 1), schedule(24, 24)
    assert [what for _, what in real] == [what for _, what in hour] == list(DAY)
    assert all(at == pytest.approx(24 * then) for (at, _), (then, _) in zip(real, hour, strict=True))


def test_two_days_have_it_twice_and_half_a_day_the_first_half() -> None:
    assert len(schedule(48, 1)) == 2 * len(DAY)
    half = schedule(12, 1)
    assert [what for _, what in half] == [what for what in DAY if what.hour <= 11.5]


def test_nothing_begins_so_late_that_it_cannot_end() -> None:
    for hours, speed in ((24, 24), (4, 24), (36, 1)):
        assert max(at for at, _ in schedule(hours, speed)) <= hours * 3600 / speed * 23 / 24


def test_the_report_says_what_was_compressed_and_what_was_not() -> None:
    words = dict(scaled(24))
    assert "24 times" in words["hours of the day, when something happens"]
    assert [how for what, how in words.items() if "reconnect delays" in what] == ["real time"]
    assert "real time" in dict(scaled(1))["an absence, an outage, a deployment"]


def test_who_is_interrupted_goes_on_with_what_has_not_happened(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary.jsonl")
    assert not diary.begun
    diary.begin(hours=24, speed=24, people=40, validations={"test": 1})
    diary.note(Entry(75.0, "cut", 75.4, 1.2, True, "back"))
    again = Diary(tmp_path / "diary.jsonl")
    assert again.facts == diary.facts
    assert again.entries == diary.entries
    assert next(str(what) for _, what in schedule(24, 24)[len(again.entries) :]) == "cytube-restart"


def test_what_was_counted_is_counted_on() -> None:
    tally = Tally(lines=3, wrong=["status: what?"])
    tally.asked["status"] += 2
    again = Tally.from_json(json.loads(json.dumps(tally.as_json())))
    again.asked["help"] += 1
    assert again.asked.total() == 3
    assert (again.lines, again.wrong) == (3, ["status: what?"])


GOOD = {"test": ("passed", "# Validation 1 of test: passed\n\n## Limits\n", "d1")}


def judged(diary: Diary, tally: Tally, mails: list[str], validations: dict[str, tuple[str, str, str]]) -> bool:
    return all(good for good, _ in verdicts(diary, {"test": tally}, mails, validations))


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    found = Diary(tmp_path / "diary.jsonl")
    found.begin(hours=24, speed=24, people=40, validations={"test": 1})
    found.note(Entry(75.0, "cut", 75.4, 1.2, True, "back"))
    return found


def test_a_soak_passes_when_everything_ended_as_it_has_to(diary: Diary) -> None:
    tally = Tally()
    tally.asked["help"] = tally.right["help"] = 1
    assert judged(diary, tally, ["[FIRING] BotDown"], GOOD)


@pytest.mark.parametrize("what", ["happening", "wrong", "missing", "mail", "validation", "nobody asked"])
def test_a_soak_fails_on_whatever_did_not(what: str, diary: Diary) -> None:
    tally, mails, validations = Tally(), ["[FIRING] BotDown"], dict(GOOD)
    tally.asked["help"] = tally.right["help"] = 1
    if what == "happening":
        diary.note(Entry(300.0, "cytube-restart", 300.0, 180.0, False, "the bot is not back"))
    elif what == "wrong":
        tally.wrong.append("help: 42")
    elif what == "missing":
        tally.missing.append("help")
    elif what == "mail":
        mails.append("[FIRING] HighErrorRate")
    elif what == "validation":
        validations["test"] = ("failed", "", "")
    else:
        tally.asked.clear()
    assert not judged(diary, tally, mails, validations)


LOST = "| ✗ | test-1 is up for more than 99 % | fail: For 5 min for certain; 8 s not. |"


@pytest.mark.parametrize(
    ("speed", "happened", "passes", "fails"),
    [
        (24, [("outage test", 20.0)], True, False),
        (24, [("outage test", 90.0)], False, True),
        (24, [("outage production", 90.0)], True, False),
        (144, [("cable test", 8.0)], False, True),
        (144, [("kill-bot test", 2.4), ("power-cut test", 6.3)], False, True),
        (144, [("cytube-restart", 7.0), ("cytube-restart-long", 25.0)], False, True),
        (144, [("deploy-next test", 19.0)], True, True),
        (24, [("deploy-next test", 19.0), ("cytube-restart", 7.0)], True, False),
    ],
)
def test_a_validation_must_fail_over_what_was_done_on_purpose_and_over_nothing_else(
    speed: float, happened: list[tuple[str, float]], passes: bool, fails: bool, tmp_path: Path
) -> None:
    diary = Diary(tmp_path / "diary.jsonl")
    diary.begin(hours=24, speed=speed, people=40, validations={"test": 1})
    for what, seconds in happened:
        diary.note(Entry(100.0, what, 100.0, seconds, True, "it is back"))
    tally = Tally()
    tally.asked["help"] = tally.right["help"] = 1
    assert judged(diary, tally, [], {"test": ("passed", "", "")}) is passes
    assert judged(diary, tally, [], {"test": ("failed", LOST, "")}) is fails
    assert not judged(diary, tally, [], {"test": ("failed", LOST.replace("is up for more than", "fails in less"), "")})


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("| ? | test-1 does not grow by more than 20 MB a day | x |", True),
        ("| ? | test-1 is up | x |", False),
        ("", False),
    ],
)
def test_growth_a_day_may_be_undecided_after_minutes_and_nothing_else(text: str, passes: bool, diary: Diary) -> None:
    tally = Tally()
    tally.asked["help"] = tally.right["help"] = 1
    assert judged(diary, tally, [], {"test": ("interrupted", text, "")}) is passes


@pytest.mark.parametrize(
    ("begun", "passes", "fails"), [(3500.0, False, True), (3590.0, True, True), (3700.0, True, False)]
)
def test_what_came_after_the_window_has_cost_a_validation_nothing(
    begun: float, passes: bool, fails: bool, diary: Diary
) -> None:
    tally = Tally()
    tally.asked["help"] = tally.right["help"] = 1
    diary.note(Entry(2025.0, "outage test", begun, 90.0, True, "stopped, started"))
    assert judged(diary, tally, [], {"test": ("passed", "", "")}) is passes
    assert judged(diary, tally, [], {"test": ("failed", LOST, "")}) is fails


def test_a_bot_that_came_anew_is_another_session_whatever_the_memory_of_the_last_is_used_for(tmp_path: Path) -> None:
    with CytubeThread("127.0.0.1") as cytube:
        rooms = Rooms(cytube, Pace(), tmp_path / "tallies.json")
        seen = [rooms.session("test")]
        for _ in range(20):
            cytube.ask(lambda server: server.crowd("test-rosey").enter("RoseyBot-Test"))
            seen += [rooms.session("test"), rooms.session("test")]
            cytube.ask(lambda server: server.crowd("test-rosey").leave("RoseyBot-Test"))
            seen.append(rooms.session("test"))
    assert seen == [0, *(number for turn in range(1, 21) for number in (turn, turn, 0))]


@pytest.mark.parametrize(("apart", "starts", "good"), [(100, 4, True), (100, 3, False), (400, 4, False)])
def test_a_bot_that_the_schedule_starts_too_often_is_told_of_on_purpose(
    apart: int, starts: int, good: bool, tmp_path: Path
) -> None:
    diary = Diary(tmp_path / "diary.jsonl")
    diary.begin(hours=24, speed=144, people=40, validations={})
    for number in range(starts):
        diary.note(Entry(0, "kill-bot production", number * apart, 1.0, True, "back"))
    (said,) = [one for one in verdicts(diary, {}, ["[FIRING 1] BotRestarting production"], {}) if "mails" in one[1]]
    assert said[0] is good
    assert not verdicts(diary, {}, ["[FIRING 1] BotRestarting test"], {})[2][0]


@pytest.mark.parametrize(("seconds", "good"), [(85.0, True), (20.0, False)])
def test_a_portal_that_was_away_for_an_update_longer_than_its_alert_waits_is_told_of_on_purpose(
    seconds: float, good: bool, diary: Diary
) -> None:
    diary.note(Entry(300, "portal-update", 300.0, seconds, True, "back"))
    said = verdicts(diary, {}, ["[FIRING 1] PortalDown ", "[RESOLVED] PortalDown "], {})
    assert next(found for found, sentence in said if "mails" in sentence) is good


@pytest.mark.parametrize(
    ("what", "where", "waited"),
    [("kill-bot", "production", 65.0), ("kill-bot", "test", 0.0), ("cut", "production", 0.0)],
)
def test_a_bot_is_not_killed_while_its_deployment_is_watched(
    what: str, where: str, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept, numbers = [0.0], count(1)
    monkeypatch.setattr("sandbox.soak.faults.time.sleep", slept.append)
    monkeypatch.setattr("sandbox.soak.faults.time.monotonic", lambda: 1000.0)
    stage: Any = SimpleNamespace(portal=SimpleNamespace(manage=lambda *_, **__: '{"deployment": 4}'))
    following: Any = SimpleNamespace(release=lambda: "1.0.1-abc")
    rooms: Any = SimpleNamespace(session=lambda _: next(numbers))
    fault = faults.Faults(stage, rooms, following, bake=50.0)
    monkeypatch.setattr(fault, "await_release", lambda *_: "succeeded")
    fault.do("deploy-next", "production")
    fault._verbs[what] = lambda _: "done"
    fault.await_bake(what, where)
    assert sum(slept) == waited
    slept.clear()
    assert fault.do(what, where) == "done", "and what it takes is its own"
    assert not slept


@pytest.mark.full
@pytest.mark.hosts
@pytest.mark.monitoring
def test_a_day_in_ten_minutes(tmp_path: Path) -> None:
    if reason := unavailable_reason():
        pytest.skip(reason)
    page = tmp_path / "validation.md"
    command = [sys.executable, "-m", "sandbox", "soak", "--hours", "24", "--speed", "144", "--new", "--into", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)
    text = page.read_text() if page.exists() else done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "18 of 18 happenings ended as they have to" in text
