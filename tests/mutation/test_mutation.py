"""The core notices small changes; and what is said of how that is found out is true."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.mutation.drawing import PACKAGES, Known, equivalent, every
from tests.mutation.operators import OPERATORS, ROOT, Mutant, compiled, mutants
from tests.mutation.verdicts import Verdicts, digest_of_tests, key


@pytest.mark.full
def test_each_package_notices_nine_of_ten_sampled_changes() -> None:
    """About half an hour on two cores: one pass that remembers what each test reaches, then the sample."""
    for act in (["reach"], ["try", "--seconds", "7200"]):
        done = subprocess.run([sys.executable, "-m", "tests.mutation", *act], cwd=ROOT, timeout=10_800, check=False)
    assert done.returncode == 0, "what was alive stands above"


def test_what_tries_them_starts_beside_the_fixtures_of_all_tests(tmp_path: Path) -> None:
    (tmp_path / "orders.json").write_text("[]")
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "tests.mutation.trying", "-p", "no:cacheprovider"]
    environment = {**os.environ, "MUTATION_STATE": str(tmp_path)}
    done = subprocess.run(
        [*command, str(Path(__file__))], cwd=ROOT, env=environment, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_every_operator_has_mutants_and_no_two_of_a_function_have_one_name() -> None:
    found = [mutant for package in PACKAGES for mutant in every(package)]
    assert {mutant.operator for mutant in found} == set(OPERATORS)
    assert len({str(mutant) for mutant in found}) == len(found)


def test_what_is_listed_as_equivalent_is_a_mutant_of_today() -> None:
    assert set(equivalent()) <= {str(mutant) for package in PACKAGES for mutant in every(package)}


SHARED = """
import os

import pytest

import deployments.thing


@pytest.fixture(scope="module")
def made():
    return deployments.thing.make()


def test_first(made):
    assert made == 1


def test_second(made):
    child = os.fork()
    if child == 0:
        deployments.thing.alone()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_every_test_that_reaches_a_line_is_known_for_it(tmp_path: Path) -> None:
    room = tmp_path / "deployments"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "thing.py").write_text("def make():\n    return 1\n\n\ndef alone():\n    return 2\n")
    (tmp_path / "test_shared.py").write_text(SHARED)
    rules = f"--rcfile={ROOT / 'tests' / 'mutation' / 'coverage.toml'}"
    known = {"MUTATION_STATE": str(tmp_path), "COVERAGE_FILE": str(tmp_path / ".coverage"), "PYTHONPATH": str(ROOT)}
    for program in (
        ["run", rules, "-m", "pytest", "-q", "-p", "no:django", "-p", "tests.mutation.reach", str(tmp_path)],
        ["combine", "-q", rules],
    ):
        command = [sys.executable, "-m", "coverage", *program]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **known}, capture_output=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    data = CoverageData(str(tmp_path / ".coverage"))
    data.read()
    reaching = data.contexts_by_lineno(str(room / "thing.py"))
    asked = Known(json.loads((tmp_path / "seconds.json").read_text())).asked
    in_fixture, in_fork = (Mutant("deployments/thing.py", "", "", "", (line,), 0) for line in (2, 6))
    assert sorted(asked(in_fixture, reaching)) == ["test_shared.py::test_first", "test_shared.py::test_second"]
    assert asked(in_fork, reaching) == ["test_shared.py::test_second"]


def test_tests_of_its_own_module_are_asked_first_then_of_its_room_the_quickest_first() -> None:
    seconds = {
        "tests/engine/host/test_settle.py::test_slow": 2.0,
        "tests/engine/host/test_hooks.py::test_many[1]": 0.1,
        "tests/engine/host/test_hooks.py::test_many[2]": 0.2,
        "tests/engine/host/test_steps.py::test_one": 1.0,
        "tests/deployments/test_hops.py::test_quick": 0.01,
    }
    mutant = Mutant("engine/host/agent/settle.py", "", "", "", (1,), 0)
    assert Known(seconds).asked(mutant, {1: list(seconds)}) == [
        "tests/engine/host/test_settle.py::test_slow",
        "tests/engine/host/test_hooks.py::test_many[1]",
        "tests/engine/host/test_steps.py::test_one",
        "tests/engine/host/test_hooks.py::test_many[2]",
        "tests/deployments/test_hops.py::test_quick",
    ]


def test_that_one_survived_is_forgotten_with_other_tests(tmp_path: Path) -> None:
    mutant = every("deployments/requests")[0]
    asked = ["tests/mutation/test_mutation.py::test_one"]
    said = {"mutant": key(mutant), "said": "survived", "tests": digest_of_tests(asked)}
    (tmp_path / "results.jsonl").write_text(json.dumps(said))
    verdicts = Verdicts(tmp_path / "results.jsonl")
    assert verdicts.of(mutant, asked) == "survived"
    assert verdicts.of(mutant, [*asked, "tests/mutation/test_mutation.py::test_another"]) is None


SOURCE = '''
def verb(number, *, log=None, word="left as it is"):
    """Not this."""
    if number > 3 and not log:
        log.info("not this either")
        record(name="an.event", data={"kept": 1, "told": number}, hint="Not this.", chunk_size=9, check=False)
        return number + 1
    raise ValueError(f"nor a {number} sentence")
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("tests.mutation.operators.ROOT", tmp_path)
    (tmp_path / "module.py").write_text(SOURCE)
    return "module.py"


def test_what_is_changed_in_a_function(module: str) -> None:
    assert sorted(mutant.change for mutant in mutants(module)) == sorted(
        [
            "`number > 3 and (not log)` → True",
            "`number > 3 and (not log)` → False",
            "`number > 3 and (not log)` → `number > 3 or not log`",
            "`number > 3` → `number >= 3`",
            "3 → 4",
            "`not log` → `log`",
            "`record(name='an.event', data={'kept': 1, 'told': number}, hint='Not…` deleted",
            "`name=` left out of `record()`",
            "`data=` left out of `record()`",
            "'an.event' → 'an.event_'",
            "'kept' left out of a dictionary",
            "'told' left out of a dictionary",
            "'kept' → 'kept_'",
            "'told' → 'told_'",
            "1 → 2",
            "`return number + 1` → `return None`",
            "`number + 1` → `number - 1`",
            "1 → 2 (2)",
            "`raise ValueError(f'nor a {number} sentence')` deleted",
        ]
    )


def test_a_mutant_is_the_function_with_that_one_change(module: str) -> None:
    def outcome(code: types.CodeType, number: int) -> object:
        verb = types.FunctionType(code, {"record": lambda **_: None, "ValueError": ValueError}, "verb")
        try:
            return verb(number, log=None, word="")
        except (ValueError, AttributeError) as error:
            return type(error).__name__

    turned: Mutant = next(each for each in mutants(module) if each.change == "`number > 3` → `number >= 3`")
    before, after = compiled(turned)
    assert [outcome(before, number) for number in (2, 3)] == ["ValueError", "ValueError"]
    assert [outcome(after, number) for number in (2, 3)] == ["ValueError", "AttributeError"]
