"""How often bots speak, and when their silence means something. Seconds, on the portal's clock only."""

BEAT = 10  # a bot sends a heartbeat this often, and at once when something changes
STALE_AFTER = 30  # three beats missed: what we show may be out of date
DOWN_AFTER = 60  # the user's alert rule: down after one minute

RESOLUTIONS = (10, 60, 3600, 86400)
KEPT = {10: 2 * 3600, 60: 3 * 86400, 3600: 100 * 86400, 86400: 800 * 86400}
