"""A plugin of pytest that has coverage remember which test reaches which line, and how long each test takes.

`coverage run --rcfile=tests/mutation/coverage.toml -m pytest -p tests.mutation.reach …`
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

SECONDS: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """What runs from here on, fixtures included, is this test's."""
    if measuring := coverage.Coverage.current():
        measuring.switch_context(item.nodeid)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up its phases; what did not pass is no witness."""
    if report.passed:
        SECONDS[report.nodeid] = SECONDS.get(report.nodeid, 0.0) + report.duration
    else:
        SECONDS[report.nodeid] = float("inf")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep them, in the process that started the others."""
    if not hasattr(session.config, "workerinput"):
        known = {name: seconds for name, seconds in SECONDS.items() if seconds != float("inf")}
        Path(os.environ["MUTATION_STATE"], "seconds.json").write_text(json.dumps(known))
