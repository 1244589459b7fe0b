"""Reading artifacts: single files, streams of some files, and no damage that goes unnoticed."""

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts.artifact import Artifact, ArtifactReader, build_artifact, open_artifact
from engine.artifacts.errors import ArtifactCorrupt, NotInArtifact
from engine.artifacts.wheels import DirectoryWheels
from tests.engine.artifacts.projects import project

BIG = bytes(range(256)) * 10_000  # 2.5 MB: several chunks


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("artifact")
    source = project(root / "p", {"tea/big": BIG, "tea/empty": b"", "tea/ü": b"\0" * 513})
    return build_artifact(source, None, DirectoryWheels(root), root / "artifacts")


@pytest.fixture
def reader(artifact: Artifact) -> Iterator[ArtifactReader]:
    with open_artifact(artifact.path, artifact.digest) as opened:
        yield opened


def test_what_an_artifact_is_can_be_read_from_it(artifact: Artifact, reader: ArtifactReader) -> None:
    assert (reader.digest, reader.version, reader.release_id) == (artifact.digest, "1.2.3", artifact.release_id)
    assert reader.deploy == artifact.deploy
    assert reader.manifest == artifact.manifest
    reader.verify()


def test_files_are_read_whole(reader: ArtifactReader) -> None:
    assert reader.read("tea/big") == BIG
    assert reader.read("tea/empty") == b""
    assert reader.read("tea/ü") == b"\0" * 513
    with pytest.raises(NotInArtifact, match=r"no file 'README\.md'"):
        reader.read("README.md")


@given(st.data())
def test_a_stream_has_just_the_files_asked_for_and_the_length_announced(
    artifact: Artifact, data: st.DataObject
) -> None:
    paths = data.draw(st.lists(st.sampled_from(list(artifact.manifest.by_path)), max_size=6))
    with open_artifact(artifact.path) as reader:
        pieces = list(reader.tar_of(paths))
        stream = b"".join(pieces)
        assert len(stream) == reader.tar_size(paths)
        assert max(map(len, pieces)) <= 256 * 1024 + 4096
        with tarfile.open(fileobj=io.BytesIO(stream), mode="r|") as tar:
            found = {}
            for member in tar:
                extracted = tar.extractfile(member)
                assert extracted is not None
                found[member.name] = (member.mode, extracted.read())
        assert found == {path: (reader.manifest.by_path[path].mode, reader.read(path)) for path in paths}
        assert list(found) == sorted(set(paths))


def test_an_unknown_file_is_refused_before_anything_is_sent(reader: ArtifactReader) -> None:
    with pytest.raises(NotInArtifact):
        reader.tar_of(["VERSION", "gone"])
    with pytest.raises(NotInArtifact):
        reader.tar_size(["gone"])


def test_several_threads_may_read(reader: ArtifactReader) -> None:
    with ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(lambda path: b"".join(reader.tar_of([path])), ["tea/big", "VERSION"] * 8))
    assert len(set(streams)) == 2


def test_another_digest_than_recorded_is_refused(artifact: Artifact) -> None:
    with pytest.raises(ArtifactCorrupt, match=r"its digest is .*, not 0000"):
        open_artifact(artifact.path, "0" * 64)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactCorrupt, match="cannot be read: No such file"):
        open_artifact(tmp_path / "gone.tar")


@pytest.mark.parametrize("content", [b"", b"\0" * 10240, b"PK\x03\x04" * 1000, b"x" * 511])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match="does not begin with a manifest"):
        open_artifact(path)


def test_a_closed_artifact_is_no_artifact(artifact: Artifact) -> None:
    reader = open_artifact(artifact.path)
    reader.close()
    reader.close()
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        reader.read("VERSION")


@pytest.mark.parametrize("change", [-1, -1024, -100_000, 1, 512])
def test_a_changed_length_is_noticed_at_once(artifact: Artifact, tmp_path: Path, change: int) -> None:
    content = artifact.path.read_bytes()
    path = tmp_path / artifact.path.name
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(ArtifactCorrupt, match="is damaged: its length"):
        open_artifact(path)


@settings(max_examples=200)
@given(position=st.integers(0), flip=st.integers(1, 255))
def test_a_flipped_byte_never_changes_what_is_read(
    artifact: Artifact, tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    content = bytearray(artifact.path.read_bytes())
    content[position % len(content)] ^= flip
    path = tmp_path_factory.getbasetemp() / "flipped.tar"
    path.write_bytes(content)
    with open_artifact(artifact.path) as whole:
        expected = b"".join(whole.tar_of(whole.manifest.by_path))
    try:
        with open_artifact(path, artifact.digest) as reader:
            assert b"".join(reader.tar_of(reader.manifest.by_path)) == expected
    except ArtifactCorrupt:
        assert (ArtifactCorrupt.reason, ArtifactCorrupt.permanent) == ("artifact_corrupt", True)


def test_a_damaged_file_never_completes_a_stream(artifact: Artifact, tmp_path: Path) -> None:
    content = bytearray(artifact.path.read_bytes())
    content[content.index(BIG)] ^= 1
    path = tmp_path / artifact.path.name
    path.write_bytes(content)
    with open_artifact(path, artifact.digest) as reader:
        assert reader.read("VERSION") == b"1.2.3\n"
        received: list[bytes] = []
        with pytest.raises(ArtifactCorrupt, match=r"is damaged: the content of tea/big"):
            received.extend(reader.tar_of(["tea/big", "VERSION"]))
        assert sum(map(len, received)) < len(BIG)
        with pytest.raises(ArtifactCorrupt, match="tea/big"):
            reader.verify()
