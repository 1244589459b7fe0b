"""docs/first-deployment.md, *Without servers of your own*, as printed: hosts of the sandbox stand for servers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.hosts import unavailable_reason
from tests.documents.test_blocks_run import WHEELS
from tests.project.blocks import ROOT, blocks

pytestmark = [pytest.mark.hosts, pytest.mark.full]
PAGE = ROOT / "docs/first-deployment.md"
SET = f"docs-{os.getpid()}"


def section() -> list[str]:
    """Its blocks."""
    text = PAGE.read_text()
    begins = text[: text.index("## Without servers of your own")].count("\n")
    return [block.text for block in blocks(PAGE) if int(block.where.rpartition(":")[2]) > begins]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where a newcomer's portal keeps its state; no host is left in the end."""
    if reason := unavailable_reason():
        pytest.skip(reason)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    WHEELS.mkdir(parents=True, exist_ok=True)
    (state / "wheels").symlink_to(WHEELS)
    yield tmp_path
    subprocess.run([sys.executable, "-m", "sandbox", "hosts", "--set", SET, "down"], cwd=ROOT, check=False)


def typed(home: Path, lines: str) -> str:
    """Lines in a shell in the tree, by whoever is root already; what they said."""
    own = {"HOME": str(home), "PORTAL_STATE_DIR": str(home / "state"), "USER": "root"}
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("DJANGO_", "PORTAL_", "DATABASE_"))}
    environ = {**kept, **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'sudo() {{ HOME={os.environ["HOME"]} "$@"; }}\n{lines}'],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_hosts_of_the_sandbox_are_enrolled_and_provisioned_as_printed(home: Path) -> None:
    own = f"sandbox hosts --set {SET} "
    boot, make_ready, _room, over = (text.replace("sandbox hosts ", own) for text in section())
    typed(home, "./manage.py migrate --verbosity 0; ./manage.py build_release")
    said = typed(home, boot)
    first, _second, key = said.splitlines()
    address, fingerprint = re.split(r"\s+", first)[1:]
    places = {"ADDRESS": address, "SHA256:…": fingerprint, "KEY": re.split(r"\s+", key)[3]}
    for place, what in places.items():
        make_ready = re.sub(rf"(?<=\s){re.escape(place)}(?=\s)", what, make_ready)
    told = typed(home, make_ready)
    assert re.search(r"^test-1: \d+ of \d+ things changed\.$", told, re.MULTILINE)
    assert told.splitlines()[-1] == "Next: manage.py set_secret test cytube-password, then manage.py deploy test."
    typed(home, over)
