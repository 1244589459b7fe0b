"""A file fits in the head: 300 lines at most, a function 40, code that runs on servers included."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE, FUNCTION = 300, 40
STILL_LONGER = {
    "engine/host/provision/__main__.py": "its operations are to stand in modules of their own",
    "benchmarks/bot_day.py": "one measurement, read from top to bottom",
}
"""Files that are longer today, each with what is to become of it; the list only shrinks."""
LONG_FUNCTIONS = {
    "deployments/access/tokens.py:issue_token",
    "deployments/servers/history_import.py:_imported",
    "benchmarks/bot_day.py:_live",
    "benchmarks/bot_day.py:promises",
    "benchmarks/dashboard.py:_fill",
}


def _ours() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split() if not path.startswith("tests/") and "/migrations/" not in path]


@pytest.mark.parametrize("path", _ours())
def test_a_file_fits_in_the_head(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= FILE or path in STILL_LONGER, f"{path} has {lines} lines"
    assert lines > FILE or path not in STILL_LONGER, f"{path} is short enough: take it from the list"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION or f"{path}:{node.name}" in LONG_FUNCTIONS, (
                f"{path}:{node.name} has {length} lines"
            )
