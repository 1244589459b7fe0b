"""The command blocks and the commands in the text of our documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_BLOCK = re.compile(r"^```(\S+)(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_SHELLS = {"sh", "bash", "shell", "console"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a shell; `mark` is `run`, `example`, or empty where somebody forgot it."""

    where: str
    mark: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The shell blocks of a page, in order."""
    text = page.read_text()
    name = page.relative_to(ROOT)
    return [
        Block(f"{name}:{text.count(chr(10), 0, found.start()) + 1}", found[2] or "", found[3])
        for found in _BLOCK.finditer(text)
        if found[1] in _SHELLS
    ]


def management_commands(page: Path) -> list[str]:
    """Every `manage.py …` of a page, in blocks and in the text, from the name of the command on."""
    text = page.read_text()
    lines = [line for block in blocks(page) for line in block.text.splitlines()]
    found = []
    for line in [*lines, *_SPAN.findall(_BLOCK.sub("", text))]:
        if match := re.search(r"(?:^|[ /(])manage\.py ([a-z_]+[^|<>;&#)\"]*)", line):
            found.append(match[1].strip())
    return found
