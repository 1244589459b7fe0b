"""The bot is an island: no Django, nothing of ours; and it starts lightly."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from botcore import errors

ROOT = Path(__file__).parents[2]
FOREIGN = {
    "django",
    "portal",
    "dashboard",
    "alerting",
    "deployments",
    "engine",
    "sandbox",
    "tests",
    "paramiko",
    "httpx",
    "requests",
}


def test_botcore_imports_nothing_of_django_or_of_the_portal() -> None:
    for path in (ROOT / "botcore").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] not in FOREIGN, f"{path.name} imports {name}"


def test_the_help_of_the_command_line_loads_no_library() -> None:
    code = "import sys, botcore.__main__; print(sorted({'flask','aiohttp','socketio','pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    def drawn(kind: type[BaseException], depth: int) -> list[tuple[int, str]]:
        # A module's own signal to itself is caught where it is raised, and no part of the tree.
        public = [child for child in kind.__subclasses__() if not child.__name__.startswith("_")]
        return [(depth, kind.__name__), *(line for child in public for line in drawn(child, depth + 1))]

    tree = (errors.__doc__ or "").partition("BotError\n")[2].partition("\n\n")[0].splitlines()
    shown = [(line.index("─ ") // 3 + 1, line.split("─ ")[1].split()[0]) for line in tree]
    assert sorted([(0, "BotError"), *shown]) == sorted(drawn(errors.BotError, 0))


def test_no_wait_loses_its_cancellation() -> None:
    """In Python 3.11 asyncio.wait_for swallows a cancellation that comes together with the answer."""
    for path in (ROOT / "botcore").rglob("*.py"):
        assert "wait_for(" not in path.read_text(encoding="utf-8"), f"{path.name}: use asyncio.timeout"


def test_modules_and_functions_fit_in_the_head() -> None:
    for path in (ROOT / "botcore").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert source.count("\n") <= 300, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 40, f"{path.name}: {node.name}"
