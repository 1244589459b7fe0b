"""What the last validation of each environment measured: memory, loop lag, and its other limits over one window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.intervals import DAY, spoken
from dashboard.models import Validation
from dashboard.readiness.rows import Row, Verdict, judged
from dashboard.selectors.bots import Bot
from deployments.models import Environment

VALIDATION_AGE = timedelta(days=30)
_OWN_ROWS = {"memory": "does not grow by more than 20 MB a day", "lag": "has its event loop back within 0.25 s"}


def validated(everyone: Sequence[Bot], now: datetime) -> Iterator[Row]:
    """Rows of every environment that has bots. One query each."""
    environments = dict.fromkeys(bot.server.environment for bot in everyone)
    for environment in environments:
        last = _Last.of(environment, now)
        names = [bot.name for bot in everyone if bot.server.environment == environment]
        for name in names:
            for kind, words in _OWN_ROWS.items():
                yield last.row(f"{kind}:{name}", f"{name} {words}", [f"{kind}:{name}"])
        rest = [key for key in last.limits if key.partition(":")[0] not in _OWN_ROWS]
        yield last.row(f"validated:{environment}", f"{environment} kept all other limits over one window", rest)


@dataclass(frozen=True)
class _Last:
    """The last validation of an environment that has ended, if any, by the keys of its limits."""

    environment: Environment
    validation: Validation | None
    limits: dict[str, dict[str, Any]]
    now: datetime

    @classmethod
    def of(cls, environment: Environment, now: datetime) -> "_Last":
        """Read it without its reports."""
        rows = Validation.objects.filter(environment=environment).exclude(ended_at=None)
        last = rows.defer("html", "markdown").first()
        return cls(environment, last, {one["key"]: one for one in last.limits} if last else {}, now)

    def row(self, key: str, title: str, about: Sequence[str]) -> Row:
        """The row of the limits `about`: one that failed is failed, however short or long ago that was."""
        measure, last = f"manage.py validate start {self.environment} --hours 24", self.validation
        if last is None or last.ended_at is None:
            sentence, missing = f"No validation of {self.environment} has ended yet.", "a validation"
            return Row(key, title, Verdict.UNMEASURED, sentence, measure, "/validations/", DAY, 0.0, missing)
        kept = [self.limits[one] for one in about if one in self.limits]
        failed = [one for one in kept if one["verdict"] == Verdict.FAIL]
        missing = "" if failed else self._missing(last, kept)
        said = " ".join(one["sentence"] for one in failed or kept if failed or len(kept) == 1)
        about_it = f"Validation {last.pk}, {spoken(last.seconds)} long, {last.state} on {last.ended_at:%Y-%m-%d}."
        observed = min([DAY, *(one["observed"] for one in kept if one["observed"])]) if kept else 0.0
        since = last.ended_at + VALIDATION_AGE if self._aged(last) else last.ended_at
        return Row(
            key,
            title,
            judged(not failed, missing),
            f"{about_it} {said}".strip(),
            measure,
            f"/validations/{last.pk}/",
            float(DAY),
            float(observed),
            missing,
            since if missing else None,
        )

    def _aged(self, last: Validation) -> bool:
        return last.ended_at is not None and self.now - last.ended_at > VALIDATION_AGE

    def _missing(self, last: Validation, kept: Sequence[dict[str, Any]]) -> str:
        if self._aged(last):
            return f"a validation within {VALIDATION_AGE.days} days"
        if last.seconds < DAY or last.ended_at is None or (last.ended_at - last.started_at).total_seconds() < DAY:
            return "a window of 24 h"
        unknown = [one["title"] for one in kept if one["verdict"] != Verdict.PASS]
        if unknown or not kept:
            return "; ".join(unknown) or "its figure in the last validation"
        return ""
