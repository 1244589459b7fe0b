"""What is sent to servers must run there: old Python, nothing installed, nothing of ours."""

import ast
import sys

import pytest

from deployments.commands.agent import source

PROGRAMS = {name: source(name).decode() for name in ("agent", "provision")}
"""As they are sent, with whatever of ours they import in them."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_is_readable_by_python_3_9(program: str) -> None:
    ast.parse(PROGRAMS[program], feature_version=(3, 9))


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_imports_the_standard_library_alone(program: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(PROGRAMS[program])):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_annotation_is_needed_at_run_time(program: str) -> None:
    """`X | None` and the like are newer than Python 3.9; the future import keeps them text."""
    assert "from __future__ import annotations" in PROGRAMS[program]


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_goes_through_a_shell(program: str) -> None:
    for node in ast.walk(ast.parse(PROGRAMS[program])):
        if isinstance(node, ast.Call):
            assert not any(word.arg == "shell" for word in node.keywords)
            called = ast.unparse(node.func)
            assert called not in {"os.system", "os.popen", "subprocess.getoutput", "eval", "exec"}
