"""A plugin of pytest that has coverage remember which test reaches which line, and how long each test takes.

`coverage run --rcfile=tests/mutation/coverage.toml -m pytest -p tests.mutation.reach …`

What a fixture of a module or class does is every test's in there, not only the first one's. What is made once a session
is nobody's: it is made before a mutant is put in place. A fork goes on for the test that it was started by.
"""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import coverage
import pytest

SECONDS: dict[str, float] = {}
_here = ""


def _switch(context: str) -> str:
    """What runs from here on, in forks too, is this test's, or of all tests of this file; what it was before."""
    global _here
    before, _here = _here, context
    if measuring := coverage.Coverage.current():
        measuring.switch_context(context)
    return before


def pytest_configure() -> None:
    """After coverage's own hook, which begins anew in a fork and knows of no test."""
    os.register_at_fork(after_in_child=lambda: _switch(_here))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test, and its own fixtures."""
    _switch(item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """A fixture that others share."""
    before = _here if fixturedef.scope == "function" else _switch(request.node.nodeid)
    try:
        return (yield)
    finally:
        _switch(before)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up its phases; what did not pass is no witness."""
    if report.passed:
        SECONDS[report.nodeid] = SECONDS.get(report.nodeid, 0.0) + report.duration
    else:
        SECONDS[report.nodeid] = float("inf")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep them beside what was known, in the process that started the others."""
    if not hasattr(session.config, "workerinput"):
        file = Path(os.environ["MUTATION_STATE"], "seconds.json")
        known = json.loads(file.read_text()) if file.exists() else {}
        known |= SECONDS
        kept = {name: seconds for name, seconds in known.items() if seconds != float("inf")}
        file.write_text(json.dumps(kept))
