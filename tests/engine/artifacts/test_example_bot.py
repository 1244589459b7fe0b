"""The example bot of tests/data: a project of somebody else that becomes a release and runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.artifacts.artifact import build_artifact, open_artifact
from engine.artifacts.wheels import DirectoryWheels

EXAMPLE = Path(__file__).resolve().parents[2] / "data/example-bot"


def test_it_becomes_a_release_without_git(tmp_path: Path) -> None:
    source = shutil.copytree(EXAMPLE, tmp_path / "dice", ignore=shutil.ignore_patterns("__pycache__"))
    artifact = build_artifact(source, None, DirectoryWheels(tmp_path), tmp_path / "artifacts")
    assert artifact.release_id.startswith("1.0.0-")
    assert set(artifact.manifest.by_path) == {
        "VERSION",
        "config/production.json",
        "config/test.json",
        "deploy.toml",
        "dicebot/__init__.py",
        "dicebot/__main__.py",
        "requirements.txt",
        "systemd/dice-bot.service",
    }


def test_it_runs_from_its_release_and_answers_as_its_deploy_toml_says(tmp_path: Path) -> None:
    source = shutil.copytree(EXAMPLE, tmp_path / "dice", ignore=shutil.ignore_patterns("__pycache__"))
    artifact = build_artifact(source, None, DirectoryWheels(tmp_path), tmp_path / "artifacts")
    release = tmp_path / "release"
    release.mkdir()
    with open_artifact(artifact.path) as reader:
        tar = b"".join(reader.tar_of(reader.manifest.by_path))
    subprocess.run(["tar", "-xf-", "-C", release], input=tar, check=True)
    (tmp_path / "dice.json").write_text('{"room": "x", "port": 0, "sides": 6}')
    (tmp_path / "data").mkdir()
    with _running(release, tmp_path, artifact.release_id) as url:
        health = artifact.deploy.role("bot").health
        assert health is not None
        with urllib.request.urlopen(f"{url}/status", timeout=60) as answer:
            status = json.load(answer)
            assert answer.headers["X-Release"] == artifact.release_id
        assert status[health.version] == artifact.version
        assert status[health.connected or ""] is True
        urllib.request.urlopen(urllib.request.Request(f"{url}/roll", method="POST"), timeout=60).close()
        with urllib.request.urlopen(f"{url}/status", timeout=60) as answer:
            assert json.load(answer)["rolls"] == 1


def test_its_check_refuses_a_bad_configuration(tmp_path: Path) -> None:
    (tmp_path / "dice.json").write_text('{"port": "x"}')
    done = subprocess.run(
        [sys.executable, "-m", "dicebot", "--config", tmp_path / "dice.json", "--check"],
        cwd=EXAMPLE, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert "must be whole numbers" in done.stderr


@contextmanager
def _running(release: Path, root: Path, release_id: str) -> Iterator[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "RELEASE_ID": release_id,
        "DICE_DATA": str(root / "data"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "dicebot", "--config", root / "dice.json"],
        cwd=release, env=environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            port = process.stdout.readline().rpartition(" ")[2].strip()
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
