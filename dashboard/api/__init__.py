"""The status side's part of the typed API."""
