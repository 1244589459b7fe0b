"""Types are strict everywhere, and each exception says which and why."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
IGNORE = "# type: " + "ignore"
EXPLAINED = re.compile(re.escape(IGNORE) + r"\[[a-z-]+(, [a-z-]+)*\]  # \S")


def _sources() -> Iterator[Path]:
    return (
        path for path in ROOT.rglob("*.py") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    )


def test_every_python_file_is_checked() -> None:
    checked = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"])
    assert {path.relative_to(ROOT).parts[0] for path in _sources()} | {".github/release_notes.py"} == checked
    assert list((ROOT / ".github").rglob("*.py")) == [ROOT / ".github/release_notes.py"]


def test_every_ignored_type_has_a_code_and_a_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _sources()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if IGNORE in line and not EXPLAINED.search(line)
    ]
    assert bare == []
