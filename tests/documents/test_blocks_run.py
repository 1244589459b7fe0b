"""The blocks marked `run` of a page, as printed, one after the other in one shell in a fresh clone."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.blocks import PAGES, ROOT, Block, blocks

RUNNABLE = {page.name: [one for one in blocks(page) if one.mark == "run"] for page in PAGES}
RUNNABLE.pop("projects.md")  # with packages of its own: test_projects.py
TOURS = [name for name, found in RUNNABLE.items() if found]
WHEELS = Path.home() / ".cache" / "cytube-ops-portal" / "wheels"
"""Packages that a release is built of, by the digest of their lock file: fetched once per machine, not once per run."""
PREFORK = Path(__file__).parent / "prefork.py"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all pages."""
    return cloned(tmp_path_factory.mktemp("clone") / "cytube-ops")


def cloned(there: Path) -> Path:
    """What somebody who cloned the repository has, this working tree's changes included, after `make venv`."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(there)], check=True)
    changed = subprocess.run(
        ["git", "ls-files", "-mo", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in changed.stdout.splitlines():
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_bytes((ROOT / name).read_bytes())
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "add", "-A"], cwd=there, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "t", "--allow-empty"], cwd=there, check=True)
    (there / ".venv").symlink_to((ROOT / ".venv").resolve())
    WHEELS.mkdir(parents=True, exist_ok=True)
    (there / ".state").mkdir(mode=0o700)
    (there / ".state/wheels").symlink_to(WHEELS)
    return there


def run(clone: Path, wanted: list[Block], before: str = "") -> None:
    """Run them in one shell; the first that fails ends it, and is named."""
    script = "\n".join(f"echo '== {one.where}' >&2\n{one.text}" for one in wanted)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{before}\n{script}"],
        cwd=clone,
        env=kept,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def loaded(clone: Path) -> Iterator[str]:
    """What makes a shell's `./manage.py` a fork of a process that has loaded everything."""
    python = str(clone / ".venv/bin/python")
    with tempfile.TemporaryDirectory() as folder:
        door = Path(folder) / "door"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        server = subprocess.Popen([python, str(PREFORK), "serve", str(door)], cwd=clone, env=kept)
        try:
            end = time.monotonic() + 60
            while not door.exists():
                assert server.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
            yield f'function ./manage.py {{ {python} -S -I {PREFORK} {door} "$@"; }}'
        finally:
            server.kill()
            server.wait()


@pytest.mark.parametrize("page", TOURS)
def test_every_management_command_of_a_page_does_what_it_says(page: str, clone: Path, loaded: str) -> None:
    run(clone, [block for block in RUNNABLE[page] if "./manage.py" in block.text or "activate" in block.text], loaded)


def test_there_are_many() -> None:
    assert sum(len(found) for found in RUNNABLE.values()) >= 80


@pytest.mark.full
@pytest.mark.parametrize("page", TOURS)
def test_every_block_of_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    run(cloned(tmp_path / "cytube-ops"), RUNNABLE[page])
