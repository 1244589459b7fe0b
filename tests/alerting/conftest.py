"""The same portal as in the tests of the dashboard."""

from tests.dashboard.conftest import anyone, enrol, own_state, production, stand_in, static_directory, token_for

__all__ = ["anyone", "enrol", "own_state", "production", "stand_in", "static_directory", "token_for"]
