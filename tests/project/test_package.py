"""`pip install .`: bot and portal as one package, each with its command."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*command: object, **more: str) -> str:
    """What a command says; it must succeed."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd="/", env=kept | more, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the package, built from a copy of the tree; libraries are those of the tests."""
    scratch = tmp_path_factory.mktemp("package")
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if not name.startswith(("tests/", "sandbox/", "benchmarks/")) and (ROOT / name).is_file():
            (scratch / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, scratch / "tree" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", scratch / "built", scratch / "tree")
    run(sys.executable, "-m", "venv", "--without-pip", scratch / "venv")
    (wheel,) = (scratch / "built").glob("*.whl")
    run(*pip, "--python", scratch / "venv" / "bin" / "python", "install", "--quiet", "--no-deps", wheel)
    (packages,) = (scratch / "venv" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scratch / "venv" / "bin"


def test_the_bot_is_a_command(programs: Path) -> None:
    assert "--config" in run(programs / "cytube-bot", "--help")


def test_the_portal_is_a_command_that_runs_from_the_package(programs: Path, tmp_path: Path) -> None:
    assert "[deployments]" in run(programs / "cytube-ops", "--help", PORTAL_STATE_DIR=str(tmp_path))
    run(programs / "cytube-ops", "migrate", "--verbosity", "0", PORTAL_STATE_DIR=str(tmp_path))
    run(programs / "cytube-ops", "collectstatic", "--noinput", "--verbosity", "0", PORTAL_STATE_DIR=str(tmp_path))
    run(programs / "cytube-ops", "reap", PORTAL_STATE_DIR=str(tmp_path))
    assert (tmp_path / "static" / "dashboard").is_dir()


def test_an_installed_portal_has_its_version_and_keeps_its_state_at_home(programs: Path, tmp_path: Path) -> None:
    said = run(
        programs / "cytube-ops",
        "shell",
        "--verbosity",
        "0",
        "--command",
        "from django.conf import settings; print(settings.VERSION, settings.STATE_DIR)",
        HOME=str(tmp_path),
    )
    version = (ROOT / "VERSION").read_text().strip()
    assert said.split() == [version, str(tmp_path / ".local" / "state" / "cytube-ops")]
