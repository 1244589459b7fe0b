"""The verbs of the status side: take a heartbeat, answer for a bot, keep an alert, prune what is old."""
