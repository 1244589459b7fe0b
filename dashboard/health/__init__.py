"""The bots' health documents: what one looks like, how one is fetched, and how processes share it."""
