"""Times as people type them: a length from now or ago (`30m`, `2h`, `3d`), or a date and time, in UTC."""

import re
from datetime import UTC, datetime, timedelta

from engine.errors import InvalidRequest

_LENGTH = re.compile(r"(\d{1,6})\s*(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def moment(text: str, now: datetime, *, ahead: bool = False) -> datetime | None:
    """The time that `text` names, a length counted back from `now`, or forward with `ahead`; None for nothing.

    Raises InvalidRequest.
    """
    text = text.strip()
    if not text:
        return None
    try:
        if found := _LENGTH.fullmatch(text):
            length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
            return now + length if ahead else now - length
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{text!r} is no moment.", hint="Write 30m, 2h, 3d or 2026-12-01T09:30.") from None
