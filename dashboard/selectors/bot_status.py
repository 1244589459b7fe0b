"""How every bot stands: what title, icon and headline ask of all of them on each page, without reading whole rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from dashboard.models import Condition, condition_at
from deployments.models import Server

# What a page needs first comes first.
_URGENCY = {
    Condition.DOWN: 0,
    Condition.DISCONNECTED: 1,
    Condition.STALE: 2,
    Condition.STOPPED: 3,
    None: 4,
    Condition.CONNECTED: 5,
}


class Stands(Protocol):
    """A bot as a situation sees it."""

    @property
    def name(self) -> str:
        """What the bot is called."""

    @property
    def condition(self) -> Condition | None:
        """What its last word and the age of it mean together; None before its first."""

    @property
    def on_purpose(self) -> bool:
        """Whether it is not in its room because somebody stopped it."""

    @property
    def expected(self) -> bool:
        """Whether it should be in its room: once a release was deployed, or it was heard."""

    @property
    def word(self) -> str:
        """Its condition in words."""


class BotStatus(NamedTuple):
    """A bot that is not retired, and the environment it belongs to: as it is called, its path, its bare name."""

    pk: int
    name: str
    environment: str
    path: str
    bare: str
    condition: Condition | None
    on_purpose: bool
    expected: bool

    @property
    def word(self) -> str:
        """Its condition in words."""
        return word_of(self.condition, expected=self.expected)


class _Heard(NamedTuple):
    """The columns of a bot's last word; None in all of them before its first."""

    goodbye: bool | None
    heard_at: datetime | None
    connected: bool | None

    def condition(self, now: datetime) -> Condition | None:
        if self.heard_at is None:
            return None
        return condition_at(now, goodbye=bool(self.goodbye), heard_at=self.heard_at, connected=bool(self.connected))


def word_of(condition: Condition | None, *, expected: bool) -> str:
    """A condition in words; without one, whether anything could have been heard."""
    if condition:
        return condition.label
    return "Never heard from" if expected else "Nothing deployed yet"


def condition_of(heard: Condition | None, *, stopped: bool) -> Condition | None:
    """What a bot's own word means once it is known whether somebody stopped it."""
    return Condition.STOPPED if stopped and heard != Condition.CONNECTED else heard


def urgency(order: int, environment: int, condition: Condition | None) -> tuple[int, int, int]:
    """Sorts bots: production before test, and those in trouble first."""
    return -order, environment, _URGENCY[condition]


def bot_statuses(now: datetime) -> list[BotStatus]:
    """Every bot that is not retired, the most urgent first. One query, of columns alone."""
    rows: Iterable[Any] = (
        Server.objects.exclude(state=Server.State.RETIRED)
        .order_by("environment__order", "environment_id", "order", "name")
        .values_list(
            "pk", "name", "roles", "stopped", "current_release_id",
            "environment_id", "environment__order",
            "environment__application", "environment__name", "environment__shared_name",
            "bot_state__goodbye", "bot_state__heard_at", "bot_state__connected",
        )
    )  # fmt: skip
    found = []
    for pk, name, roles, halted, release, place, order, application, bare, shared, *last in rows:
        if "bot" not in roles:
            continue
        path = f"{application}/{bare}" if application else bare
        stopped = bool(halted and halted.get("bot"))
        state = _Heard(*last)
        condition = condition_of(state.condition(now), stopped=stopped)
        on_purpose = stopped and condition == Condition.STOPPED
        expected = release is not None or state.heard_at is not None
        one = BotStatus(pk, name, path if shared else bare, path, bare, condition, on_purpose, expected)
        found.append((urgency(order, place, condition), one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]
