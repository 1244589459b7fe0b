"""How often bots speak, and when their silence means something. Seconds, on the portal's clock only."""

from datetime import UTC, datetime

BEAT = 10  # a bot sends a heartbeat this often, and at once when something changes
STALE_AFTER = 30  # three beats missed: what we show may be out of date
DOWN_AFTER = 60  # the user's alert rule: down after one minute
LISTENED = 150  # silences are noted every minute: where nothing was noted for longer, nobody was listening

MINUTE, HOUR, DAY = 60, 3600, 86400
# Stretches that samples add up over, and how long each is kept. Ten minutes make a day's chart of 144 points.
KEPT = {BEAT: 2 * HOUR, MINUTE: 3 * DAY, 10 * MINUTE: 8 * DAY, HOUR: 100 * DAY, DAY: 800 * DAY}
RESOLUTIONS = tuple(KEPT)

WHOLE = 0.99  # of a window: what is missing may be a heartbeat at either end
PROMISED_UPTIME, PROMISED_ERROR_RATE = 0.99, 0.01  # the user's limits
PROMISED_RESPONSE_MS = 2000.0  # where HighResponseTime begins
DAY_BARS = 90


def beginning(at: datetime, resolution: int) -> datetime:
    """When the stretch of `resolution` seconds around `at` began (UTC, so days are UTC days)."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % resolution, UTC)
