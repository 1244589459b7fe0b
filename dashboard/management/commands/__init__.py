"""Management commands that need what the status side knows."""
