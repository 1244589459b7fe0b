"""The inbox and the page of silences."""
