"""The same organisation as in the tests of governance."""

from tests.deployments.governance.conftest import artifacts, quick, world

__all__ = ["artifacts", "quick", "world"]
