"""How every bot stands: what title, icon and headline ask of all of them on each page, without reading whole rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.utils import timezone

from dashboard.models import BotState, Condition, condition_at
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

    @property
    def service(self) -> str:
        """What it is (`Server.Service`): a bot, or a service without a room."""

    @property
    def deployed(self) -> bool:
        """Whether a release was deployed there."""


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
    deployed: bool
    service: str

    @property
    def word(self) -> str:
        """Its condition in words."""
        return word_of(self.condition, self.service, deployed=self.deployed)


class _Heard(NamedTuple):
    """The columns of a bot's last word; None in all of them before its first."""

    goodbye: bool | None
    heard_at: datetime | None
    connected: bool | None
    probed: bool | None

    def condition(self, now: datetime) -> Condition | None:
        if self.heard_at is None:
            return None
        return condition_at(
            now,
            goodbye=bool(self.goodbye),
            heard_at=self.heard_at,
            connected=bool(self.connected),
            probed=bool(self.probed),
        )


_SERVICES: dict[str | None, str] = {
    Condition.CONNECTED: "Running",
    Condition.DISCONNECTED: "Not well",
    Condition.STALE: "Not looked at lately",
}
_NEVER = {
    Server.Service.BOT: "Never heard from",
    Server.Service.ASKED: "Not reached yet",
    Server.Service.UNASKED: "Not watched",
}


def word_of(condition: Condition | None, service: str, *, deployed: bool) -> str:
    """A condition in the words of what it is; without one, whether anything could have been heard."""
    if condition:
        return condition.label if service == Server.Service.BOT else _SERVICES.get(condition, condition.label)
    return _NEVER[Server.Service(service)] if deployed else "Nothing deployed yet"


def is_expected(service: str, *, deployed: bool, heard: bool) -> bool:
    """Whether it has to be well: once it was heard, and a bot once a release was deployed."""
    return heard or (deployed and service == Server.Service.BOT)


def condition_of(heard: Condition | None, *, stopped: bool) -> Condition | None:
    """What a bot's own word means once it is known whether somebody stopped it."""
    return Condition.STOPPED if stopped and heard != Condition.CONNECTED else heard


def runs(server: Server) -> bool | None:
    """Whether its service runs, by its last word; None where that says nothing. One query, none where it was read."""
    state: BotState | None = getattr(server, "bot_state", None)
    if state is None:
        return None
    condition = state.condition(timezone.now())
    said_here = condition == Condition.DISCONNECTED and not state.probed  # it speaks, from outside its room
    return {Condition.CONNECTED: True, Condition.STOPPED: False}.get(condition, True if said_here else None)


def urgency(order: int, environment: int, condition: Condition | None) -> tuple[int, int, int]:
    """Sorts bots: production before test, and those in trouble first."""
    return -order, environment, _URGENCY[condition]


def bot_statuses(now: datetime) -> list[BotStatus]:
    """Every bot that is not retired, the most urgent first. One query, of columns alone."""
    rows: Iterable[Any] = (
        Server.objects.exclude(state=Server.State.RETIRED)
        .order_by("environment__order", "environment_id", "order", "name")
        .values_list(
            "pk", "name", "roles", "stopped", "current_release_id", "service",
            "environment_id", "environment__order",
            "environment__application", "environment__name", "environment__shared_name",
            "bot_state__goodbye", "bot_state__heard_at", "bot_state__connected",
            "bot_state__probed",
        )
    )  # fmt: skip
    found = []
    for pk, name, roles, halted, release, service, place, order, application, bare, shared, *last in rows:
        if "bot" not in roles:
            continue
        path = f"{application}/{bare}" if application else bare
        stopped = bool(halted and halted.get("bot"))
        state = _Heard(*last)
        condition = condition_of(state.condition(now), stopped=stopped)
        on_purpose = stopped and condition == Condition.STOPPED
        deployed = release is not None
        expected = is_expected(service, deployed=deployed, heard=state.heard_at is not None)
        called = path if shared else bare
        one = BotStatus(pk, name, called, path, bare, condition, on_purpose, expected, deployed, service)
        found.append((urgency(order, place, condition), one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]
