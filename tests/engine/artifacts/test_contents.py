"""Contents that are stored once: the same bytes come out, and nothing is lost wherever it was interrupted."""

import hashlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from engine.artifacts import contents as module
from engine.artifacts.artifact import Artifact, build_artifact, open_artifact
from engine.artifacts.contents import Contents
from engine.artifacts.errors import ArtifactCorrupt
from engine.artifacts.reader import ArtifactReader
from engine.artifacts.wheels import DirectoryWheels
from engine.errors import Conflict
from tests.engine.artifacts.projects import project

BIG = bytes(range(256)) * 10_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    """Three versions that have nearly everything in common; one content is there twice, one is empty."""
    root = tmp_path_factory.mktemp("built")
    made = []
    for number in range(3):
        own = {"VERSION": f"1.0.{number}\n".encode(), "tea/new": f"{number}\n".encode()}
        same = {"tea/big": BIG, "tea/big-too": BIG, "tea/empty": b"", "tea/ü": b"\0" * 513}
        source = project(root / str(number), own | same)
        made.append(build_artifact(source, None, DirectoryWheels(root), root / "artifacts"))
    return made


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    return Contents(tmp_path / "contents")


def apart(contents: Contents, artifact: Artifact) -> Path:
    target = contents.directory.parent / "releases" / artifact.path.name
    contents.take_apart(artifact.path, target)
    return target


def opened(contents: Contents, path: Path) -> ArtifactReader:
    return open_artifact(path, None, contents.directory)


def stored(contents: Contents) -> Iterator[Path]:
    return (path for path in contents.directory.rglob("*") if path.is_file())


def test_what_was_taken_apart_is_byte_for_byte_what_was_built(contents: Contents, built: list[Artifact]) -> None:
    for artifact in built:
        with opened(contents, apart(contents, artifact)) as reader:
            assert reader.apart
            whole = b"".join(reader.tar())
            assert whole == artifact.path.read_bytes()
            assert hashlib.sha256(whole).hexdigest() == artifact.sha256
            assert (reader.digest, reader.release_id) == (artifact.digest, artifact.release_id)
            assert reader.read("tea/empty") == b""
            reader.verify()


def test_each_content_is_there_once(contents: Contents, built: list[Artifact]) -> None:
    paths = [apart(contents, artifact) for artifact in built]
    wanted = {file.sha256: file.size for artifact in built for file in artifact.manifest}
    assert {path.name: path.stat().st_size for path in stored(contents)} == wanted
    assert all(path.stat().st_mode & 0o777 == 0o440 for path in stored(contents))
    beginnings = sum(path.stat().st_size for path in paths)
    assert sum(wanted.values()) + beginnings < 1.1 * built[0].size / 2 < built[0].size  # BIG is in it twice


def test_an_artifact_may_take_its_own_place(contents: Contents, built: list[Artifact], tmp_path: Path) -> None:
    path = tmp_path / "old.tar"
    path.write_bytes(built[0].path.read_bytes())
    contents.take_apart(path, path)
    with opened(contents, path) as reader:
        assert b"".join(reader.tar()) == built[0].path.read_bytes()


def _die_at(line: int) -> None:
    """Power off before the `line`-th line that `contents` executes."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os._exit(99)
        return trace

    sys.settrace(trace)


def _in_a_child(line: int, contents: Contents, path: Path) -> int:
    """How a process ended that takes an artifact apart and dies before a line; it never comes back into the tests."""
    child = os.fork()
    if child == 0:
        try:
            _die_at(line)
            contents.take_apart(path, path)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told, and an exit code of its own
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_wherever_it_is_interrupted_nothing_is_lost_and_the_next_attempt_ends_well(
    contents: Contents, built: list[Artifact], tmp_path: Path
) -> None:
    apart(contents, built[1])
    path = tmp_path / "old.tar"
    whole = built[0].path.read_bytes()
    path.write_bytes(whole)
    for line in range(1, 1000):
        code = _in_a_child(line, contents, path)
        assert code in (0, 99), f"line {line}: the child ended with {code}"
        with opened(contents, path) as reader:
            assert b"".join(reader.tar()) == whole, f"interrupted before line {line}"
        if code == 0:
            break
        if path.stat().st_size < len(whole):
            path.write_bytes(whole)
    else:
        pytest.fail("it never ended")
    assert line > 30
    assert reader.apart


@pytest.mark.parametrize("change", ["gone", "shorter", "rotten"])
def test_a_damaged_content_never_passes_and_building_again_heals_it(
    contents: Contents, built: list[Artifact], change: str
) -> None:
    path = apart(contents, built[0])
    file = built[0].manifest.by_path["tea/big"]
    content = contents.path(file.sha256)
    content.chmod(0o640)
    if change == "gone":
        content.unlink()
    else:
        content.write_bytes(BIG[:-1] if change == "shorter" else BIG[:-1] + b"x")
    with pytest.raises(ArtifactCorrupt, match="tea/big"), opened(contents, path) as reader:
        reader.verify()
    apart(contents, built[0])
    with opened(contents, path) as reader:
        reader.verify()


@pytest.mark.parametrize("content", [BIG[:-1], BIG + b"x"], ids=["shorter", "longer"])
def test_a_content_of_another_length_is_noticed_when_the_artifact_is_opened(
    contents: Contents, built: list[Artifact], content: bytes
) -> None:
    path = apart(contents, built[0])
    stored_at = contents.path(built[0].manifest.by_path["tea/big"].sha256)
    stored_at.chmod(0o640)
    stored_at.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match="tea/big has another length than its manifest says"):
        opened(contents, path)


def test_a_beginning_without_a_directory_of_contents_is_no_artifact(contents: Contents, built: list[Artifact]) -> None:
    with pytest.raises(ArtifactCorrupt, match="its length"):
        open_artifact(apart(contents, built[0]))


def test_a_damaged_artifact_is_not_taken_apart(contents: Contents, built: list[Artifact], tmp_path: Path) -> None:
    path = tmp_path / "rotten.tar"
    damaged = built[0].path.read_bytes().replace(b"1.0.0\n", b"6.6.6\n")
    path.write_bytes(damaged)
    with pytest.raises(ArtifactCorrupt):
        contents.take_apart(path, path)
    assert path.read_bytes() == damaged
    assert list(stored(contents)) == []


def test_who_deletes_waits_for_who_adds(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.0)
    with contents.held(), contents.held(), pytest.raises(Conflict, match="Try again"), contents.held(alone=True):
        pytest.fail("nobody may be alone here")
    with contents.held(alone=True), pytest.raises(Conflict), contents.held():
        pytest.fail("somebody is alone here")
    with contents.held(alone=True):
        pass
