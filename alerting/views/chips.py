"""The filters of the inbox that one click sets or takes away, each with how many it would show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alerting import selectors
from alerting.selectors import Filter, Shown

_STATES = {
    selectors.OPEN: selectors.STATES[selectors.OPEN],
    selectors.ACKNOWLEDGED: "Acknowledged",
    selectors.SNOOZED: "Snoozed",
    selectors.SILENCED: "Silenced",
}


@dataclass(frozen=True)
class Chip:
    """One filter; `address` is the query string that a click leads to: of a `chosen` one, that without it."""

    label: str
    count: int
    address: str
    chosen: bool


def _with(wanted: Filter, field: str, value: str) -> Filter:
    changes: dict[str, Any] = {field: value}
    return replace(wanted, **changes)


def chips(wanted: Filter, firing: Sequence[Shown], me: str) -> list[Chip]:
    """All of what fires, then the states, severities and environments that there are more than one of."""

    def count(one: Filter) -> int:
        return sum(one.takes(alert, me) for alert in firing)

    def of(field: str, options: Iterable[tuple[str, str]]) -> list[Chip]:
        now = getattr(wanted, field)
        made = []
        for value, label in options:
            chosen = _with(wanted, field, value)
            after = _with(wanted, field, "") if now == value else chosen
            made.append(Chip(label, count(chosen), after.address, now == value))
        kept = [chip for chip in made if chip.count or chip.chosen]
        return kept if len(kept) > 1 or now else []

    environments = dict.fromkeys(str(one.alert.environment) for one in firing if one.alert.environment)
    name = [Chip(f"Name: {wanted.text}", count(wanted), replace(wanted, text="").address, True)] if wanted.text else []
    mine = replace(wanted, assigned="" if wanted.assigned else selectors.ME)
    own = Chip("Assigned to me", count(replace(wanted, assigned=selectors.ME)), mine.address, bool(wanted.assigned))
    return [
        Chip("All", len(firing), "", not wanted.address),
        *of("status", _STATES.items()),
        *of("severity", ((name, name.capitalize()) for name in selectors.SEVERITIES)),
        *of("environment", ((name, name) for name in environments)),
        *([own] if own.count or own.chosen else []),
        *name,
    ]
