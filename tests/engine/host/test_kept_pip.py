"""The archive of compiled pip, as provisioning makes it and as an environment runs it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engine.host.agent import environments
from engine.host.provision.kept_pip import bundled_wheel, compiled, kept_from, made_from

RUN = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('pip', run_name='__main__')"


@pytest.fixture
def wheel() -> str:
    """The one that both programs find."""
    found = bundled_wheel()
    assert found == environments.bundled_pip()
    return found


@pytest.fixture
def archive(wheel: str, tmp_path: Path) -> Path:
    path = tmp_path / "kept.pip.zip"
    path.write_bytes(compiled(wheel, made_from(wheel)))
    return path


def test_it_runs_without_a_source(wheel: str, archive: Path) -> None:
    said = subprocess.run([sys.executable, "-I", "-c", RUN, archive, "--version"], capture_output=True, text=True)
    assert f"from {archive}" in said.stdout, said.stderr
    with zipfile.ZipFile(archive) as kept, zipfile.ZipFile(wheel) as source:
        assert sorted(kept.namelist()) == sorted(name + "c" * name.endswith(".py") for name in source.namelist())


def test_it_says_what_it_was_made_from(wheel: str, archive: Path) -> None:
    assert kept_from(str(archive)) == made_from(wheel)
    archive.write_bytes(archive.read_bytes()[:-1])
    assert kept_from(str(archive)) != made_from(wheel)
    archive.write_bytes(b"torn")
    assert kept_from(str(archive)) == ""
    archive.unlink()
    assert kept_from(str(archive)) is None


def test_without_it_the_wheel_is_run(wheel: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "kept_pip_path", lambda name: str(tmp_path / "no" / "such"))
    assert environments.pip_to_run("tea") == wheel
