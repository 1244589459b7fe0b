"""The scorecard as its page shows it: a line for each fact, bots beside each other, and where each is measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from dashboard.readiness.rows import Row, Verdict
from dashboard.readiness.scorecard import Scorecard
from deployments.access.policy import may, may_somewhere
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.models import Environment

_READ = ("name", "application", "shared_name", "retired_at")
"""What a person's rights and the name of an environment need."""
_IN_AN_ENVIRONMENT = (
    # what measures it on the command line, the button, its page, whose it is
    (re.compile(r"manage\.py verify (\S+)"), "Verify", "admin:deployments_environment_verify", Verb.VERIFY),
)
_ANYWHERE = (
    (re.compile(r"manage\.py validate start .*"), "Validate", "validations", Verb.VERIFY),
    (
        re.compile(r"manage\.py audit verify"),
        "Verify the trail",
        "admin:deployments_auditevent_verify",
        Verb.READ_AUDIT,
    ),
    (re.compile(r"manage\.py enroll .*"), "Add a server", "admin:deployments_server_add", Verb.ENROL),
)
_ADVICE = {
    "1": "Look at its page: what fires there has a runbook.",
    "2": "Look at its page: what fires there has a runbook.",
    "3": "Open the bot's page; while it is connected, the portal's way to its health port is the cause.",
    "4": "Look at Prometheus' targets: the firewall or the address is wrong.",
    "5": "Deploy what the record says, or compare the server.",
    "6": "Repair the channel that fails, then hold a drill of alerts.",
    "7": "Deploy once more, so that there is something to go back to, and hold the drill again.",
    "8": "Give the bot an order in its room.",
    "10": "Compare the trail with a backup before anything else is changed.",
    "deployment-time": "The slowest one's page says which step took it.",
    "rollback-time": "The slowest one's page says which step took it.",
    "verified": "Deploy again: what was not verified may not run.",
    "errors": "The journal has the errors; what fires has a runbook.",
    "response": "The chart of its response time says since when.",
    "connected": "Its ninety days say when it was away.",
    "uptime": "Its ninety days say when it was away.",
}


@dataclass(frozen=True)
class Line:
    """One fact; `label` and `link` are the button that measures it, where the portal can and this person may."""

    row: Row
    label: str = ""
    link: str = ""

    @property
    def advice(self) -> str:
        """What to do where it fails."""
        return _ADVICE.get(self.row.key.partition(":")[0], "") if self.row.verdict is Verdict.FAIL else ""


@dataclass(frozen=True)
class Matrix:
    """What every bot promises, each in a column."""

    bots: list[str]
    checks: list[tuple[str, list[Line | None]]]


@dataclass(frozen=True)
class Card:
    """One application's lines by verdict, and its bots beside each other where there are several."""

    title: str
    groups: list[tuple[Verdict, list[Line]]]
    matrix: Matrix | None


class Measures:
    """Where the portal measures what a command measures, for one person. One query."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._places: Mapping[str, Environment] = {
            str(row): row for row in Environment.objects.filter(retired_at=None).only(*_READ)
        }

    def line(self, row: Row) -> Line:
        """The row with its button."""
        if row.verdict is Verdict.PASS:
            return Line(row)
        for pattern, label, address, verb in _IN_AN_ENVIRONMENT:
            found = pattern.fullmatch(row.measure)
            place = self._places.get(found[1]) if found else None
            if place is not None and may(self._actor, verb, place):
                return Line(row, f"{label} {place}", reverse(address, args=[place.pk]))
        for pattern, label, address, verb in _ANYWHERE:
            if pattern.fullmatch(row.measure) and may_somewhere(self._actor, verb):
                return Line(row, label, reverse(address))
        return Line(row)


def cards(found: Sequence[Scorecard], actor: Actor) -> list[Card]:
    """As this person sees them."""
    measures = Measures(actor)
    return [_card(one, measures) for one in found]


def _card(found: Scorecard, measures: Measures) -> Card:
    lines = [(verdict, [measures.line(row) for row in rows]) for verdict, rows in found.groups]
    matrix = _matrix([line for _, some in lines for line in some])
    if matrix is not None:
        beside = {id(line) for _, some in matrix.checks for line in some if line}
        lines = [
            (verdict, [one for one in some if verdict is Verdict.FAIL or id(one) not in beside])
            for verdict, some in lines
        ]
    return Card(found.title, [(verdict, some) for verdict, some in lines if some], matrix)


def _matrix(lines: Sequence[Line]) -> Matrix | None:
    """The checks of several bots; None where there is one bot."""
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        check, of, name = line.row.key.partition(":")
        if of and line.row.title.startswith(f"{name} ") and check != "validated":
            found.setdefault(line.row.title.removeprefix(f"{name} "), {})[name] = line
    bots = sorted({name for there in found.values() for name in there})
    if len(bots) < 2:
        return None
    return Matrix(
        bots, [(check[:1].upper() + check[1:], [there.get(name) for name in bots]) for check, there in found.items()]
    )
