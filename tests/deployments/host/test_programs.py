"""What is sent to servers must run there: old Python, nothing installed, nothing of ours."""

import ast
import sys
from pathlib import Path

import pytest

from deployments.host import agent, provision

PROGRAMS = [Path(agent.__file__), Path(provision.__file__)]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_it_is_readable_by_python_3_9(program: Path) -> None:
    ast.parse(program.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_it_imports_the_standard_library_alone(program: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_no_annotation_is_needed_at_run_time(program: Path) -> None:
    """`X | None` and the like are newer than Python 3.9; the future import keeps them text."""
    assert "from __future__ import annotations" in program.read_text()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_nothing_goes_through_a_shell(program: Path) -> None:
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.Call):
            assert not any(word.arg == "shell" for word in node.keywords)
            called = ast.unparse(node.func)
            assert called not in {"os.system", "os.popen", "subprocess.getoutput", "eval", "exec"}
