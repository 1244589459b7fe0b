"""`python -m sandbox soak`: a bot's day with everything around it, in a day or compressed, and its report."""

import argparse
import signal
import sys
import time
from pathlib import Path

from sandbox.demo.portal import ROOT, CommandFailed
from sandbox.demo.stage import Progress, Stage, everything
from sandbox.hosts import HostsError, HostSet, unavailable_reason
from sandbox.load.life import Pace
from sandbox.soak import readings, report
from sandbox.soak.diary import Diary, Entry
from sandbox.soak.faults import Faults, WentWrong
from sandbox.soak.next import NextVersion
from sandbox.soak.plan import Happening, bake_seconds, schedule
from sandbox.soak.rooms import Rooms

NAME, STEPS, DIARY = "soak", 8, "diary.jsonl"
LOOK_SECONDS = 0.5
OVER = "python -m sandbox hosts --set soak down"


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    found = argparse.ArgumentParser(prog="python -m sandbox soak", description=__doc__)
    found.add_argument("--hours", type=float, default=24.0, help="length of the day or days (default 24)")
    found.add_argument("--speed", type=float, default=1.0, help="how many times it is compressed (default 1)")
    found.add_argument("--people", type=int, default=40, help="people in each room (default 40)")
    found.add_argument("--port", type=int, default=8080, help="port of the portal (default 8080)")
    found.add_argument("--into", type=Path, default=ROOT / "docs" / "validation.md", help="where the report goes")
    found.add_argument(
        "--new", action="store_true", help="begin anew instead of going on with one that was interrupted"
    )
    return found


def main(argv: list[str]) -> int:
    """Run it; 0 when everything ended as it has to, 1 when not, 2 when this machine cannot, 130 when interrupted."""
    options = parser().parse_args(argv)
    if options.hours <= 0 or options.speed <= 0:
        print("--hours and --speed are more than 0.", file=sys.stderr)
        return 2
    if reason := unavailable_reason():
        print(f"A soak needs real hosts: {reason}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # also in the background, where a shell has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    if options.new or not (ROOT / ".state" / NAME / DIARY).exists():
        _clear()
    try:
        return _soak(options)
    except KeyboardInterrupt:
        print(f"\nInterrupted. The same command goes on from here; `{OVER}` takes the servers down.")
        return 130
    except (CommandFailed, HostsError, OSError) as error:
        print(f"\nThe soak failed: {error}\n`{OVER}` takes its servers down.", file=sys.stderr)
        return 1


def _clear() -> None:
    if NAME in HostSet.names():
        HostSet.attach(NAME).down()


def _soak(options: argparse.Namespace) -> int:
    days = int(options.hours / options.speed / 24) + 3
    with everything(
        NAME, options.port, Progress(STEPS), days=days, bake=bake_seconds(options.speed), lasting=True
    ) as stage:
        diary = Diary(stage.portal.state / DIARY)
        following = NextVersion(stage.portal)
        following.make()
        rooms = Rooms(stage.cytube, Pace(options.people, options.speed), stage.portal.state / "tallies.json")
        if not diary.begun:
            _first(stage)
            _begin(stage, diary, options)
        elif following.updated(diary):
            following.move_in()
        soak = Soak(stage, diary, rooms, following)
        with rooms.alive(), soak.reader.reading():
            soak.run()
        text, good = report.write(stage, diary, rooms.tallies)
        options.into.write_text(text)
    stage.hosts.down()
    print(f"{options.into} is written: {'all' if good else 'not all'} ended as it has to.")
    return 0 if good else 1


def _first(stage: Stage) -> None:
    """Both bots in their rooms, before the day begins."""
    portal = stage.portal
    portal.manage("deploy", "test", "--reason", "soak", person="operator")
    portal.manage("deploy", "production", "--reason", "soak", person="operator", allowed=(3,))
    portal.manage("approve", "2", person="approver")
    Faults.await_release(portal, "production")


def _begin(stage: Stage, diary: Diary, options: argparse.Namespace) -> None:
    window = options.hours / options.speed
    validations = {where: readings.start(stage.portal, where, window) for where in ("test", "production")}
    diary.begin(hours=options.hours, speed=options.speed, people=options.people, validations=validations)


class Soak:
    """The hours of a diary, from where it stands to its end."""

    def __init__(self, stage: Stage, diary: Diary, rooms: Rooms, following: NextVersion) -> None:
        self.reader = readings.Reader(stage.portal, float(diary.facts["speed"]))
        self._stage = stage
        self._diary = diary
        self._rooms = rooms
        self._faults = Faults(stage, rooms, following, bake_seconds(float(diary.facts["speed"])))

    def run(self) -> None:
        """Let everything happen when it is due, and wait until both validations have ended."""
        hours, speed = float(self._diary.facts["hours"]), float(self._diary.facts["speed"])
        done = len(self._diary.entries)
        for due, happening in schedule(hours, speed)[done:]:
            while self._diary.elapsed < due:
                time.sleep(LOOK_SECONDS)
            self._let(due, happening)
        while any(readings.running(self._stage.portal, number) for number in self._diary.facts["validations"].values()):
            time.sleep(20 * LOOK_SECONDS)

    def _let(self, due: float, happening: Happening) -> None:
        self._faults.await_bake(happening.what, happening.where)
        began = self._diary.elapsed
        try:
            sentence, good = self._faults.do(happening.what, happening.where), True
        except (WentWrong, CommandFailed, HostsError, OSError, TimeoutError) as error:
            sentence, good = " ".join(str(error).split())[-400:] or type(error).__name__, False
        entry = Entry(due, str(happening), began, self._diary.elapsed - began, good, sentence)
        self._diary.note(entry)
        self._rooms.keep()
        print(f"{began:8.1f} s  {'ok' if good else 'BAD'}: {happening}: {sentence}", flush=True)
        if happening.what == "portal-update":
            self.reader.again()
