"""What a soak says in the end: one page of Markdown."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sandbox.demo.portal import ROOT
from sandbox.demo.stage import Stage
from sandbox.load.moderator import Tally
from sandbox.load.questions import COMMANDS
from sandbox.soak import readings
from sandbox.soak.diary import Diary
from sandbox.soak.plan import scaled
from sandbox.soak.verdicts import verdicts

LATE_SECONDS = 60.0


def write(stage: Stage, diary: Diary, tallies: dict[str, Tally]) -> tuple[str, bool]:
    """The page, and whether everything ended as it has to."""
    facts = diary.facts
    validations = {where: readings.report(stage.portal, number) for where, number in facts["validations"].items()}
    mails = _mails(stage)
    judged = verdicts(diary, tallies, mails, validations)
    parts = [
        _head(facts["hours"], facts["speed"], diary, _commit(stage.portal.state / "this")),
        _table(["", "verdict"], [["✓" if good else "✗", text] for good, text in judged]),
        "## What was compressed, and what was not\n",
        _table(["what", "how"], [list(row) for row in scaled(facts["speed"])]),
        "## What happened\n",
        _happenings(diary),
        "## Questions to the bots\n",
        _questions(tallies),
        "## Mails of Alertmanager\n",
        "\n".join(f"- {mail}" for mail in mails) + "\n" if mails else "None.\n",
    ]
    for where, (_, text, digest) in validations.items():
        parts.append(f"## Validation of {where}\n\nThe digest in the audit trail: `{digest}`.\n")
        parts.append(text.replace("\n## ", "\n#### ").replace("# Validation", "### Validation", 1) + "\n")
    return "\n".join(parts), all(good for good, _ in judged)


def _commit(tree: Path) -> str:
    """Of what the portal began with, whatever came into this tree meanwhile."""
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=False)
    return told.stdout.strip()[:12]


def _head(hours: float, speed: float, diary: Diary, commit: str) -> str:
    started = datetime.fromtimestamp(float(diary.facts["started"]), UTC)
    took = hours * 3600 / speed
    how = f"compressed {speed:g} times into {took / 60:.0f} minutes" if speed != 1 else "in real time"
    return (
        "# Validation\n\n"
        f"Written by `make soak HOURS={hours:g} SPEED={speed:g}`: {hours:g} hours {how}, begun on"
        f" {started:%Y-%m-%d %H:%M} UTC with {(ROOT / 'VERSION').read_text().strip()}"
        f" (`{commit}`) on {_machine()}.\n\n"
        "Two Debian servers with a bot each, the portal with its workers, Prometheus, Alertmanager, a mail server and a"
        f" CyTube-protocol server, {diary.facts['people']} people in each room; all real processes on one machine.\n"
    )


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, at a load of {os.getloadavg()[2]:.1f} in the end"


def _mails(stage: Stage) -> list[str]:
    mail = stage.watch.mail
    return [] if mail is None else [one.subject for one in mail.messages]


def _happenings(diary: Diary) -> str:
    rows = []
    for entry in diary.entries:
        hour = entry.due * diary.facts["speed"] / 3600
        late = f" ({entry.begun - entry.due:.0f} s late)" if entry.begun - entry.due > LATE_SECONDS else ""
        sign = "✓" if entry.good else "✗"
        rows.append([sign, f"{hour:.1f} h{late}", entry.what, f"{entry.seconds:.1f} s", entry.sentence])
    return _table(["", "hour", "what", "took", "what came of it"], rows)


def _questions(tallies: dict[str, Tally]) -> str:
    rows = []
    for where, tally in tallies.items():
        rows.append(
            [
                *(where, str(tally.asked.total()), f"{len(tally.asked)} of {len(COMMANDS)}", str(tally.right.total())),
                *(str(len(tally.wrong)), str(len(tally.missing)), str(tally.interrupted)),
                " / ".join(f"{tally.within(share) * 1000:.0f}" for share in (0.5, 0.95, 0.99)) + " ms",
                f"{tally.lines} lines, {tally.floods} floods, {tally.raids} raids, {tally.churned} churns",
            ]
        )
    head = [
        "room",
        "questions",
        "chat commands",
        "right",
        "wrong",
        "missing",
        "cut off",
        "50 / 95 / 99 of 100",
        "crowd",
    ]
    said = [f"- {where}: {text}" for where, tally in tallies.items() for text in (*tally.wrong, *tally.missing)]
    return _table(head, rows) + ("\nNot right:\n\n" + "\n".join(said[:40]) + "\n" if said else "")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
