"""What a soak is judged by: what the schedule did on purpose has to show, and nothing else may."""

import re

from sandbox.load.moderator import Tally
from sandbox.soak.diary import Diary, Entry

EXPECTED = ("BotDown", "RollbackOccurred")
"""Alerts that the outages and rollbacks on schedule have to cause, and no other."""
STARTS = frozenset({"deploy-next", "rollback", "kill-bot", "deploy-without-workers", "outage", "power-cut"})
STARTS_WINDOW, MOST_STARTS = 900.0, 3
"""Happenings that start a bot, and how many within how long BotRestarting takes: a day in minutes has more."""
PORTAL_DOWN_SECONDS = 60.0
"""For so long the portal must be silent before PortalDown fires."""
DOWN = frozenset({"outage", "cable", "kill-bot", "power-cut"})
"""For so long as these take a bot does not answer, and how long that was is in the diary."""
RESTARTS, RESTART_SECONDS = frozenset({"deploy-next", "rollback", "deploy-without-workers"}), 8.0
"""These start a bot anew, which it does not answer for: some seconds of theirs, at most so many."""
AWAY = frozenset({"cut", "cytube-restart", "cytube-restart-long"})
"""These put every bot out of its room, which goes on answering."""
DOWN_PART, OUT_PART = 0.01, 1 / 24
"""Of a window a bot may be down for so much of it, and out of its room for so much."""
OF_DAYS = "does not grow by more than"
"""A limit that a window of minutes cannot decide: it may be undecided, and nothing else may."""
OF_TIME = ("is up for more than", "is in its room for more than")
"""Limits that what is on the schedule may cost; no other one."""


def verdicts(
    diary: Diary, tallies: dict[str, Tally], mails: list[str], validations: dict[str, tuple[str, str, str]]
) -> list[tuple[bool, str]]:
    """What a soak is judged by: whether it is as it has to be, and the sentence."""
    wrong = [entry for entry in diary.entries if not entry.good]
    asked = sum(tally.asked.total() for tally in tallies.values())
    mistaken = sum(len(tally.wrong) + len(tally.missing) for tally in tallies.values())
    caused = (*EXPECTED, *_restarted(diary), *_updated(diary))
    unexpected = [mail for mail in mails if not any(name in mail for name in caused)]
    return [
        (not wrong, f"{len(diary.entries) - len(wrong)} of {len(diary.entries)} happenings ended as they have to"),
        (asked > 0 and not mistaken, f"{mistaken} of {asked} answers were wrong or missing"),
        (not unexpected, f"{len(unexpected)} of {len(mails)} mails told of what nobody had caused on purpose"),
        *(_validated(where, found, diary) for where, found in validations.items()),
    ]


def _restarted(diary: Diary) -> list[str]:
    """`BotRestarting E` for each room whose bot the schedule started so often that this alert had to come."""
    begun: dict[str, list[float]] = {}
    for entry in diary.entries:
        what, _, where = entry.what.partition(" ")
        if what in STARTS:
            begun.setdefault(where, []).append(entry.begun)
    return [
        f"BotRestarting {where}"
        for where, times in begun.items()
        if any(last - first < STARTS_WINDOW for first, last in zip(times, times[MOST_STARTS:], strict=False))
    ]


def _updated(diary: Diary) -> list[str]:
    """PortalDown where an update took so long that this alert had to come."""
    slow = [one for one in diary.entries if one.what == "portal-update" and one.seconds > PORTAL_DOWN_SECONDS]
    return ["PortalDown"] if slow else []


def _validated(where: str, found: tuple[str, str, str], diary: Diary) -> tuple[bool, str]:
    """A bot that was away for longer than a limit allows has to fail: passing would be the fault."""
    state, text, _ = found
    undecided = _titles("?", text)
    if state == "interrupted" and undecided and all(OF_DAYS in title for title in undecided):
        state = "passed"
    window = float(diary.facts["hours"]) * 3600 / float(diary.facts["speed"])
    sentence = f"the validation of {where}"
    if others := [title for title in _titles("✗", text) if not any(limit in title for limit in OF_TIME)]:
        return False, f"{sentence}: {state} by {'; '.join(others)}"
    down, away, _ = _on_purpose(where, [one for one in diary.entries if one.begun + one.seconds <= window])
    if _costs(down, away, window):
        why = f"was down for {down:.0f} s and out of its room for {away:.0f} s more on purpose"
        return state == "failed", f"{sentence}, which {why}, and must not pass a window of {window:.0f} s: {state}"
    down, away, restarts = _on_purpose(where, [one for one in diary.entries if one.begun < window])
    if _costs(down + restarts * RESTART_SECONDS, away, window):
        return state in {
            "passed",
            "failed",
            "interrupted",
        }, f"{sentence}, which {restarts} restarts on purpose may cost it: {state}"
    return state == "passed", f"{sentence}: {state}"


def _costs(down: float, away: float, window: float) -> bool:
    """Whether that is more than a validation over so many seconds lets pass."""
    return down > DOWN_PART * window or down + away > OUT_PART * window


def _on_purpose(where: str, entries: list[Entry]) -> tuple[float, float, int]:
    """Seconds for which a bot was down, seconds out of its room besides, and how often it was started anew."""
    mine = [(entry, *entry.what.partition(" ")[::2]) for entry in entries]
    down = sum(entry.seconds for entry, what, whose in mine if what in DOWN and whose == where)
    away = sum(entry.seconds for entry, what, _ in mine if what in AWAY)
    return down, away, sum(what in RESTARTS and whose == where for _, what, whose in mine)


def _titles(sign: str, text: str) -> list[str]:
    """Of the limits that have this sign in a validation's report: ✗ was not kept, ? not measured."""
    return re.findall(rf"^\| {re.escape(sign)} \| ([^|]*) \|", text, re.MULTILINE)
