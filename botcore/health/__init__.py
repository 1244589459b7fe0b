"""`/api/health`, `/livez` and `/metrics`, answered by a thread that does not need the event loop."""
