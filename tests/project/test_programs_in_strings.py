"""Programs that other processes are given as text import what there is: no type checker reads them."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("portal", "dashboard", "alerting", "deployments", "engine", "sandbox", "botcore", "benchmarks", "tests")
IMPORT = re.compile(rf"^\s*from ((?:{'|'.join(OURS)})(?:\.\w+)*) import ([\w, ]+)", re.MULTILINE)


def imports() -> Iterator[tuple[str, str, str]]:
    """File, module and name of every import of ours that stands in a string."""
    for room in OURS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    for module, names in IMPORT.findall(node.value):
                        for name in names.split(","):
                            yield str(path.relative_to(ROOT)), module, name.split(" as ")[0].strip()


@pytest.fixture(scope="module")
def found() -> list[tuple[str, str, str]]:
    """Read when it is asked for, and not by every worker that looks for tests."""
    return sorted(set(imports()))


def test_there_are_such_programs(found: list[tuple[str, str, str]]) -> None:
    assert {"sandbox/demo/accounts.py", "benchmarks/health_proxy.py"} <= {path for path, _, _ in found}


def is_there(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(f"{module}.{name}"))
    except ImportError:
        return False


def test_what_a_program_in_a_string_imports_is_there(found: list[tuple[str, str, str]]) -> None:
    assert is_there("tests.project", "test_size")
    assert not is_there("tests.project", "test_of_nothing")
    assert [case for case in found if not is_there(case[1], case[2])] == []
