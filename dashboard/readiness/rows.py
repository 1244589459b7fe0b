"""One row of the scorecard: what was measured, over how much of which window, and what would measure it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboard.intervals import WHOLE
from deployments.core.texts import spoken


class Verdict(StrEnum):
    """What the facts say. Nothing is good because nobody looked."""

    PASS = "pass"  # noqa: S105  (no password)
    FAIL = "fail"
    UNMEASURED = "not measured yet"


@dataclass(frozen=True)
class Row:
    """A condition or a limit of one application.

    `window` is the time it speaks of and `observed` how much of that was really looked at, in seconds; None where a row
    speaks of this moment. `evidence` is the address of what it is read from, `measure` what would measure it. Where
    that was not done yet, `missing` says what is missing, and `since` from when on nobody knows; None: nobody ever did.
    """

    key: str
    title: str
    verdict: Verdict
    sentence: str
    measure: str
    evidence: str
    window: float | None = None
    observed: float | None = None
    missing: str = ""
    since: datetime | None = None

    @property
    def unknown(self) -> str:
        """Since when it is not measured and what is missing, in words; empty where it is."""
        if self.verdict is not Verdict.UNMEASURED:
            return ""
        when = f"not measured since {self.since:%-d %b %Y %H:%M} UTC" if self.since else "never measured"
        return f"{when}; missing: {self.missing}"

    @property
    def of(self) -> str:
        """How much of the window was observed, in words."""
        if self.window is None or self.observed is None:
            return "as of now"
        if self.observed >= WHOLE * self.window:
            return f"all of {spoken(self.window)} observed"
        return f"{spoken(self.observed)} of {spoken(self.window)} observed"


def judged(good: bool, missing: str = "") -> Verdict:
    """Pass or fail; not measured yet where something is `missing`, however good the rest looks."""
    if missing:
        return Verdict.UNMEASURED
    return Verdict.PASS if good else Verdict.FAIL
