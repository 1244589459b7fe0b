"""What is sent to servers must run there: old Python, nothing installed, nothing of ours."""

import ast
import sys
from pathlib import Path

import pytest

import engine.host.programs
from engine.commands.agent import program as short_program
from engine.commands.agent import source
from engine.host.agent.limits import LINE_LIMIT, OUTPUT_LIMIT
from engine.host.agent.processes import Tools

SHORT = {
    path.stem: short_program(path.stem)
    for path in Path(engine.host.programs.__file__).parent.glob("*.py")
    if path.stem != "__init__"
}
"""Those that travel as an argument, and the one that starts what lies beside it."""
PROGRAMS = {**{name: source(name).decode() for name in ("agent", "provision")}, **SHORT}
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
    annotated = [
        node for node in ast.walk(ast.parse(PROGRAMS[program])) if isinstance(node, ast.FunctionDef | ast.AnnAssign)
    ]
    assert not annotated or "from __future__ import annotations" in PROGRAMS[program]


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_goes_through_a_shell(program: str) -> None:
    for node in ast.walk(ast.parse(PROGRAMS[program])):
        if isinstance(node, ast.Call):
            assert not any(word.arg == "shell" for word in node.keywords)
            called = ast.unparse(node.func)
            if (program, called) != ("provisioner", "exec"):  # what comes over its standard input is its work
                assert called not in {"os.system", "os.popen", "subprocess.getoutput", "eval", "exec"}


def test_an_endless_line_of_a_program_comes_in_pieces() -> None:
    tools, pieces = Tools("d1", "/"), list[str]()
    tools.logged(["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], "/", pieces.append)
    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) <= 4 * LINE_LIMIT


def test_of_a_tool_that_says_too_much_the_beginning_is_kept() -> None:
    code, output = Tools("d1", "/").call(["/bin/sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; exit 3"])
    assert code == 3
    assert len(output) <= OUTPUT_LIMIT + (1 << 16)


def test_a_tool_that_overstays_is_ended_also_when_it_has_closed_its_output() -> None:
    tools = Tools("d1", "/")
    for script in ("sleep 30", "exec >&- 2>&-; sleep 30"):
        assert tools.call(["/bin/sh", "-c", script], timeout=0.2)[0] == 124


def test_the_short_ones_are_all_known() -> None:
    assert sorted(SHORT) == ["authorized_keys", "credential_check", "imported", "installer", "loader", "provisioner"]
    assert max(map(len, SHORT.values())) < 4000  # each is sent with every call
