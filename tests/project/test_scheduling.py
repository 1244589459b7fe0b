"""Half of the workers begin with what waits for hosts and half with what computes; then each takes what is left."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.database import sample
from tests.fixtures.drawing import ALWAYS, SECONDS, left_out
from tests.fixtures.scheduling import ROOT, ByFile, waits

HOSTS = ["tests/stories/test_deploying.py", "tests/stories/test_drift.py", "tests/workflows/test_hostile.py"]
OTHERS = ["tests/portal/test_growth.py", "tests/portal/test_proxies.py"]


class Node:
    """What a scheduler knows of a worker."""

    shutting_down = False

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.given: list[int] = []

    def send_runtest_some(self, indexes: list[int]) -> None:
        self.given += indexes

    def shutdown(self) -> None:
        self.shutting_down = True


def test_the_files_named_as_long_are_there() -> None:
    assert [file for file in (*SECONDS, *ALWAYS) if not (ROOT / "tests" / file).is_file()] == []


def test_of_files_that_take_long_one_of_four_is_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {f"test_{number}.py": 100 - number for number in range(40)} | dict.fromkeys(ALWAYS, 1000)
    seen: set[str] = set()
    for seed in range(40):
        monkeypatch.setenv("FAULT_SEED", str(seed))
        drawn = seconds.keys() - left_out(seconds, 4)
        assert {*ALWAYS} <= drawn
        assert len(drawn) == len(ALWAYS) + 10
        seen |= drawn
    assert seen == seconds.keys(), "in time, each"
    assert left_out(seconds, 1) == frozenset()


def test_half_begin_with_hosts_and_all_take_what_is_left() -> None:
    assert [waits(file) for file in (*HOSTS[:2], "tests/workflows/", *OTHERS)] == [True, True, True, False, False]
    options: Any = SimpleNamespace(getvalue=lambda _name: ["popen", "popen"], option=SimpleNamespace())
    options.option.loadscopereorder = False
    tests = [f"{file}::test_{number}" for file in (*OTHERS, *HOSTS) for number in range(4)]
    scheduler = ByFile(options, None)
    nodes = [Node(0), Node(1)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    first = [{tests[index].split("::")[0] for index in node.given} for node in nodes]
    assert first == [{HOSTS[0]}, {OTHERS[0]}]
    while not all(node.shutting_down for node in nodes):
        for node in nodes:
            for index in node.given[:]:
                scheduler.mark_test_complete(node, index)
    assert sorted(nodes[0].given + nodes[1].given) == list(range(len(tests)))


def test_the_other_database_is_asked_three_cases_of_each_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT_SEED", "1")
    names = [f"a.py::test_one[{number}]" for number in range(9)] + ["a.py::test_two", "a.py::test_three[x]"]
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in names]
    drawn = [item.nodeid for item in sample(items)]
    assert len(drawn) == len(set(drawn)) == 5
    assert {"a.py::test_two", "a.py::test_three[x]"} <= set(drawn)
    assert set(drawn) == {item.nodeid for item in sample(items[::-1])}, "whatever order a worker found them in"
    monkeypatch.setenv("FAULT_SEED", "2")
    assert set(drawn) != {item.nodeid for item in sample(items)}
