"""Management of the status side."""
