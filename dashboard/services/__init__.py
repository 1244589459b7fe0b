"""The verbs of the dashboard: take a heartbeat, answer for a bot, judge readiness, prune what is old."""
