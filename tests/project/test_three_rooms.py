"""CONTRIBUTING.md's three pages are followed to the letter in a copy of the tree, and what they promise holds there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = re.search(r"## Three rooms, shown\n(.*?)\n## ", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
assert PAGES is not None
TITLES = dict(re.findall(r"### ([^\n]+)\n(.*?)(?=\n### [A-Z]|\Z)", PAGES[1], re.DOTALL))
LINES = 20


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files that git knows, as they are in the working tree."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def follow(page: str, tree: Path) -> None:
    """Do what a page says: its blocks, then its rows."""
    for path, block in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", TITLES[page], re.DOTALL | re.MULTILINE):
        with (tree / path).open("a") as file:
            file.write(block)
    for path, behind, text in re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", TITLES[page], re.MULTILINE):
        before = (tree / path).read_text()
        place = behind.replace("\\|", "|")
        assert before.count(place) == 1, f"{place!r} stands {before.count(place)} times in {path}"
        (tree / path).write_text(before.replace(place, place + text.replace("\\|", "|").replace("\\n", "\n")))


def run(tree: Path, *command: str) -> str:
    """What a command says in the copy; it must succeed."""
    environment = {**os.environ, "PORTAL_STATE_DIR": str(tree / ".state"), "PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", TITLES)
def test_a_page_is_short(page: str) -> None:
    assert len([line for line in TITLES[page].splitlines() if line.strip()]) <= LINES


def test_there_are_three() -> None:
    assert list(TITLES) == ["A management command", "A step of the agent", "An alert"]


def test_a_management_command(tree: Path) -> None:
    follow("A management command", tree)
    assert "Say who acts" in run(tree, sys.executable, "manage.py", "whoami", "--help")
    tests = ("-q", "-n0", "-p", "no:randomly", "tests/deployments/management/test_documentation.py")
    run(tree, sys.executable, "-m", "pytest", *tests, "-k", "whoami or exactly")


def test_a_step_of_the_agent(tree: Path) -> None:
    follow("A step of the agent", tree)
    steps = "from engine.host.agent.run import STEPS; print(list(STEPS))"
    assert "'activate', 'flush', 'after_activate', 'restart'" in run(tree, sys.executable, "-c", steps)
    packed = (
        "from engine.commands.agent import source; compile(source('agent'), 'agent.py', 'exec'); print(source('agent'))"
    )
    assert "def flush(" in run(tree, sys.executable, "-c", packed)
    contracts = ("inside-agent", "inside-steps")
    linted = [f"--contract={name}" for name in contracts]
    run(tree, str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *linted)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_an_alert(tree: Path) -> None:
    follow("An alert", tree)
    assert "SUCCESS" in run(tree, "promtool", "test", "rules", "monitoring/tests/backup.yml")
