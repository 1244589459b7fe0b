"""Waiting for what Prometheus and Alertmanager do in their own time."""

import time
from collections.abc import Callable

TIMEOUT = 90.0  # s; on a quiet machine each of these takes about five


def until(condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> float:
    """Return when `condition` holds, with the seconds it took; fail when it does not within `timeout`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"waited {timeout:g} s for {what}"
        time.sleep(0.1)
    return time.monotonic() - began
