"""For how long: the lengths that pages offer, and what a form says."""

from typing import Any

from deployments.core.texts import whole_number

DURATIONS = (
    # minutes, words
    (30, "30 minutes"),
    (60, "1 hour"),
    (240, "4 hours"),
    (480, "8 hours"),
    (1440, "1 day"),
    (4320, "3 days"),
    (10080, "7 days"),
)
USUAL_MINUTES = 60
"""What a page offers first, and what one click on a row does."""


def minutes_of(sent: Any) -> int:
    """What a form says; 0, which every service refuses, for what is no number of minutes."""
    return whole_number(sent.get("minutes", ""), digits=6) or 0


def words_of(sent: Any) -> str:
    """The same for people."""
    minutes = minutes_of(sent)
    return dict(DURATIONS).get(minutes, f"{minutes} minutes")
