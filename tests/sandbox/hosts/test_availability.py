"""Where hosts cannot boot, one sentence says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.hosts import unavailable_reason

PROJECT = Path(__file__).parents[3]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
POOR = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else takes root")


def asked(prefix: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    script = "from sandbox.hosts.cli import main; import sys; sys.exit(main(['up', '1']))"
    return subprocess.run(
        [*prefix, sys.executable, "-c", script],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@as_root
def test_without_root_it_says_root(tmp_path: Path) -> None:
    done = asked(NOBODY)

    assert done.returncode == 2
    assert done.stderr == "Hosts need root (namespaces, mounts, control groups), and this process has none.\n"


@as_root
def test_with_a_root_that_may_not_mount_it_says_so() -> None:
    done = asked(POOR)

    assert done.returncode == 2
    assert "this container's root may not" in done.stderr


@pytest.mark.hosts
def test_every_missing_program_is_named_with_what_to_install(tmp_path: Path) -> None:
    done = asked((), PATH=str(tmp_path), SANDBOX_HOSTS_DIR=str(tmp_path / "cache"))

    assert done.returncode == 2
    for program in ("systemd-nspawn", "ip", "debootstrap", "gcc"):
        assert program in done.stderr
    assert "apt-get install" in done.stderr
    assert "systemd-container" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert unavailable_reason() == "Hosts need Linux, and this is darwin."


@as_root
def test_tests_that_need_hosts_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.hosts\ndef test_one(): assert False\ndef test_other(): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = hosts: x\n")
    tmp_path.chmod(0o755)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.fixtures.hosts",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:django",
    ]
    done = subprocess.run(
        [*POOR, *command, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert "left out: 1 host test because hosts need a root that may make namespaces" in done.stdout
