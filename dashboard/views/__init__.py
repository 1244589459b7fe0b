"""Pages and machine endpoints that are no part of the typed API."""
