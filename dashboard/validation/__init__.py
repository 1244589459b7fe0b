"""Validations: an environment measured over a window, judged by its limits, and the report of it."""
