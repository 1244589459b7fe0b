"""What the last validation of each environment measured: memory, loop lag, and its other limits over one window."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Max, Q, Window
from django.db.models.functions import RowNumber

from dashboard.intervals import DAY
from dashboard.models import Validation
from dashboard.readiness.rows import Row, Verdict, judged
from dashboard.selectors.bots import Bot
from deployments.core.texts import spoken
from deployments.models import Environment

VALIDATION_AGE = timedelta(days=30)
_WINDOW = timedelta(seconds=DAY)
_MOST_LOOKED_AT = 100
_OWN_ROWS = {"memory": "does not grow by more than 20 MB a day", "lag": "has its event loop back within 0.25 s"}


def validated(everyone: Sequence[Bot], found: "Mapping[int, Known]", now: datetime) -> Iterator[Row]:
    """Rows of every environment that has bots."""
    environments = dict.fromkeys(bot.server.environment for bot in everyone)
    for environment in environments:
        known = found.get(environment.pk) or Known(environment, None, (), now)
        names = [bot.name for bot in everyone if bot.server.environment == environment]
        for name in names:
            for kind, words in _OWN_ROWS.items():
                key = f"{kind}:{name}"
                yield known.row(key, f"{name} {words}", key.__eq__)
        yield known.row(f"validated:{environment}", f"{environment} kept all other limits over one window", _is_other)


def _is_other(key: str) -> bool:
    return key.partition(":")[0] not in _OWN_ROWS


@dataclass(frozen=True)
class Known:
    """Of an environment the last validation that has ended, if any, and those that may have judged a limit.

    One that was stopped, or was short, judges what failed in it and nothing else: it does not take the place of what an
    earlier one found.
    """

    environment: Environment
    last: Validation | None
    judging: Sequence[Validation]
    now: datetime

    @classmethod
    def of_all(cls, environments: Iterable[Environment], now: datetime) -> "dict[int, Known]":
        """Those of each environment that has any, by its number, without their reports. Two queries."""
        named = {environment.pk: environment for environment in environments}
        rows = Validation.objects.filter(environment__in=named).exclude(ended_at=None).defer("html", "markdown")
        newest = rows.order_by().values("environment").annotate(newest=Max("pk")).values("newest")
        whole = Q(until__gte=F("started_at") + _WINDOW, ended_at__gte=F("started_at") + _WINDOW)
        place = Window(RowNumber(), partition_by=F("environment_id"), order_by=F("pk").desc())
        judging: dict[int, list[Validation]] = {}
        judged_one = rows.filter(whole | Q(state=Validation.State.FAILED)).annotate(place=place)
        for row in judged_one.filter(place__lte=_MOST_LOOKED_AT):
            judging.setdefault(row.environment_id, []).append(row)
        return {
            row.environment_id: cls(named[row.environment_id], row, judging.get(row.environment_id, ()), now)
            for row in rows.filter(pk__in=newest)
        }

    def row(self, key: str, title: str, about: Callable[[str], bool]) -> Row:
        """The row of the limits whose key is one of `about`, by the latest validation that judged them."""
        measure = f"manage.py validate start {self.environment} --hours 24"
        if self.last is None:
            sentence, missing = f"No validation of {self.environment} has ended yet.", "a validation"
            return Row(key, title, Verdict.UNMEASURED, sentence, measure, "/validations/", DAY, 0.0, missing)
        judge = next((one for one in self.judging if _judges(one, _limits(one, about))), self.last)
        kept = _limits(judge, about)
        failed = [one for one in kept if one["verdict"] == Verdict.FAIL]
        missing = "" if failed else self._missing(judge, kept)
        said = " ".join(one["sentence"] for one in failed or kept if failed or len(kept) == 1)
        ended = judge.ended_at or self.now
        about_it = f"Validation {judge.pk}, {spoken(judge.seconds)} long, {judge.state} on {ended:%Y-%m-%d}."
        observed = min([DAY, *(one["observed"] for one in kept if ":" in one["key"])]) if kept else 0.0
        since = ended + VALIDATION_AGE if self._aged(judge) else ended
        return Row(
            key,
            title,
            judged(not failed, missing),
            f"{about_it} {said}".strip(),
            measure,
            f"/validations/{judge.pk}/",
            float(DAY),
            float(observed),
            missing,
            since if missing else None,
        )

    def _aged(self, one: Validation) -> bool:
        return one.ended_at is not None and self.now - one.ended_at > VALIDATION_AGE

    def _missing(self, one: Validation, kept: Sequence[dict[str, Any]]) -> str:
        if self._aged(one):
            return f"a validation within {VALIDATION_AGE.days} days"
        if not _is_whole(one):
            return "a window of 24 h"
        unknown = [limit["title"] for limit in kept if limit["verdict"] != Verdict.PASS]
        if unknown or not kept:
            return "; ".join(unknown) or "its figure in the last validation"
        return ""


def _limits(one: Validation, about: Callable[[str], bool]) -> list[dict[str, Any]]:
    return [limit for limit in one.limits if about(limit["key"])]


def _judges(one: Validation, kept: Sequence[dict[str, Any]]) -> bool:
    """Whether it says of these limits that one failed, or over a whole window that all were kept."""
    verdicts = {limit["verdict"] for limit in kept}
    return Verdict.FAIL in verdicts or (_is_whole(one) and verdicts == {Verdict.PASS})


def _is_whole(one: Validation) -> bool:
    return one.ended_at is not None and min(one.until, one.ended_at) - one.started_at >= _WINDOW
