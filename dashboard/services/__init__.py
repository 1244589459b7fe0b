"""The verbs of the dashboard: take a heartbeat, answer for a bot, prune what is old."""
