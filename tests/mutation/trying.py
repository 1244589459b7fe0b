"""A plugin of pytest that puts mutants in place, each in a fork of this process, until a test notices or none does.

Everything is imported and the database migrated once. A fork exchanges the code of the mutant's function wherever it is
held, runs the tests that reach it, the quickest first, and ends at the first that fails. Django's transactions, and
copies of the database's template, keep one fork from the next.
"""

import gc
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.operators import Mutant, compiled
from tests.mutation.verdicts import digest_of_tests, key

BUDGET = float(os.environ.get("MUTATION_BUDGET", "60"))
"""Seconds of tests for one mutant; what no test noticed by then has survived."""
NO_END = 30
"""Seconds over that, and five times the slowest test of it: what is not through by then goes round for ever."""
SURVIVED, KILLED, STILLBORN, NOT_RUN = 0, 1, 2, 3
WORDS = {SURVIVED: "survived", KILLED: "killed", STILLBORN: "stillborn", NOT_RUN: "not run"}


@dataclass(frozen=True)
class Order:
    """A mutant, and the tests that reach it in the order in which they are asked; no mutant is the control."""

    mutant: Mutant | None
    tests: tuple[str, ...]
    slowest: float


def orders(path: Path) -> list[Order]:
    """What the program wrote for this process."""
    found = []
    for mutant, tests, slowest in json.loads(path.read_text()):
        known = Mutant(**{**mutant, "lines": tuple(mutant["lines"])}) if mutant else None
        found.append(Order(known, tuple(tests), slowest))
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Instead of the tests: one fork per order; a line of JSON for each as soon as it is known."""
    state = Path(os.environ["MUTATION_STATE"])
    items = {item.nodeid: item for item in session.items}
    wanted = orders(state / "orders.json")
    every = [order.mutant for order in wanted if order.mutant]
    _warm_up([items[name] for order in wanted for name in order.tests[:1] if name in items])
    end = time.monotonic() + float(os.environ.get("MUTATION_SECONDS", "420"))
    with (state / "results.jsonl").open("a") as results:
        for order in wanted:
            if time.monotonic() > end:
                break
            began = time.monotonic()
            said = _in_a_fork(order, [items[name] for name in order.tests if name in items], every)
            line = {
                "mutant": key(order.mutant) if order.mutant else "control",
                "said": said,
                "tests": digest_of_tests(list(order.tests)),
                "seconds": round(time.monotonic() - began, 1),
            }
            results.write(json.dumps(line) + "\n")
            results.flush()
    return True


def _warm_up(items: list[pytest.Item]) -> None:
    """Fixtures of the session are made once, in this process."""
    seen: set[Path] = set()
    for item in items:
        if item.path not in seen:
            seen.add(item.path)
            runtestprotocol(item, log=False, nextitem=_nobody(item.session))


def _nobody(session: pytest.Session) -> Any:
    """A next test that shares the fixtures of the session alone: everything else is taken down."""
    return SimpleNamespace(listchain=lambda: [session])


def _in_a_fork(order: Order, items: list[pytest.Item], every: list[Mutant]) -> str:
    from django.db import connections

    from tests.fixtures.database import renew  # a plugin too, that pytest has to load itself

    connections.close_all()
    renew()
    if not items:
        return WORDS[NOT_RUN]
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _child(order, items, every)
    end = time.monotonic() + (BUDGET if order.mutant else BUDGET * 9) + NO_END + 5 * order.slowest
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return WORDS.get(code, "killed")
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed (no end)"


def _child(order: Order, items: list[pytest.Item], every: list[Mutant]) -> None:
    code = NOT_RUN
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if order.mutant is not None:
            in_place = _put_in_place(order.mutant)
        else:  # the control: every function as it is, put in place in the same way
            in_place = all(_put_in_place(each, unchanged=True) for each in every)
        code = _noticed(items, BUDGET if order.mutant else BUDGET * 9) if in_place else STILLBORN
    except BaseException:  # noqa: BLE001 - whatever a mutant does to pytest itself is noticed
        code = KILLED
    finally:
        os._exit(code)


def _noticed(items: list[pytest.Item], budget: float) -> int:
    end = time.monotonic() + budget
    for item, then in zip(items, [*items[1:], _nobody(items[0].session)], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=then)):
            return KILLED
        if time.monotonic() > end:
            break
    return SURVIVED


def _put_in_place(mutant: Mutant, *, unchanged: bool = False) -> bool:
    """Exchange the code of the function, decorated and bound ones included; False where it cannot be."""
    before, after = compiled(mutant)
    after = before if unchanged else after
    if before.co_freevars != after.co_freevars:
        return False
    found = [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType  # not isinstance: asking a lazy object for its class makes it
        and (each.__code__.co_filename, each.__code__.co_firstlineno, each.__code__.co_name)
        == (before.co_filename, before.co_firstlineno, before.co_name)
    ]
    for function in found:
        function.__code__ = after
    return bool(found)
