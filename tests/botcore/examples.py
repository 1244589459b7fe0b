"""How many examples a property is tried with: a few hundred, and ten thousand in `make test-full`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

SIZES = [pytest.param(300, id="few"), pytest.param(10_000, id="many", marks=pytest.mark.full)]


def size(count: int) -> settings:
    """Settings of a property that takes the parameter `count` from SIZES."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
