"""A file fits in the head: 300 lines at most, a function 40, code that runs on servers included."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE, FUNCTION = 300, 40


def _ours() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split() if not path.startswith("tests/") and "/migrations/" not in path]


@pytest.mark.parametrize("path", _ours())
def test_a_file_fits_in_the_head(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= FILE, f"{path} has {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION, f"{path}:{node.name} has {length} lines"
