"""Building and storing: once, whole, and whole again when it is built again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.core.actors import system_actor
from deployments.models import AuditEvent, Release
from deployments.releases.artifacts import contents, open_release, write_whole
from deployments.releases.builds import build_release
from engine.artifacts.contents import Contents
from engine.artifacts.errors import ArtifactCorrupt
from engine.artifacts.wheels import sha256_of
from tests.engine.artifacts.projects import project

ACTOR = system_actor("tests")


@pytest.fixture
def source(db: None, state_dir: Path, tmp_path: Path) -> Path:
    return project(tmp_path / "source")


def test_the_same_tree_is_one_release(source: Path) -> None:
    first, new = build_release(actor=ACTOR, source=source, ref=None)
    again, newer = build_release(actor=ACTOR, source=source, ref=None)
    assert (new, newer, first) == (True, False, again)
    assert AuditEvent.objects.filter(name="release.added").count() == 1
    assert Path(first.artifact.path).stat().st_size < first.size / 2


@pytest.mark.parametrize("what", ["a content", "its beginning"])
def test_what_was_damaged_is_whole_when_it_is_built_again(source: Path, what: str) -> None:
    release = build_release(actor=ACTOR, source=source, ref=None)[0]
    with open_release(release) as reader:
        content = contents().path(reader.manifest.by_path["VERSION"].sha256)
    path = Path(release.artifact.path) if what == "its beginning" else content
    path.chmod(0o640)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ArtifactCorrupt), open_release(release) as reader:
        reader.verify()
    assert build_release(actor=ACTOR, source=source, ref=None) == (release, False)
    with open_release(Release.objects.get()) as reader:
        reader.verify()


def test_what_is_tidied_away_while_it_is_built_again_is_stored_anew(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = build_release(actor=ACTOR, source=source, ref=None)[0]
    held = Contents.held

    @contextmanager
    def tidied_before(self: Contents, **how: bool) -> Iterator[None]:
        """Whoever tidies had the lock until now."""
        if Release.objects.exclude(artifact="").update(artifact=""):
            Path(release.artifact.path).unlink()
        with held(self, **how):
            yield

    with monkeypatch.context() as patch:
        patch.setattr(Contents, "held", tidied_before)
        again, new = build_release(actor=ACTOR, source=source, ref=None)
    assert (again, new) == (release, True)
    with open_release(Release.objects.get()) as reader:
        reader.verify()


def test_the_whole_artifact_is_put_where_it_is_wanted(source: Path, tmp_path: Path) -> None:
    release, _ = build_release(actor=ACTOR, source=source, ref=None)
    path = write_whole(release, tmp_path / "dist")
    assert sha256_of(path) == release.artifact_digest
    assert [path] == list((tmp_path / "dist").iterdir())
    assert write_whole(release, tmp_path / "dist") == path, "again, over what is there"


def test_a_damaged_artifact_leaves_nothing_where_it_was_wanted(source: Path, tmp_path: Path) -> None:
    release, _ = build_release(actor=ACTOR, source=source, ref=None)
    with open_release(release) as reader:
        content = contents().path(reader.manifest.by_path["VERSION"].sha256)
    content.chmod(0o640)
    content.write_bytes(b"x" * content.stat().st_size)
    with pytest.raises(ArtifactCorrupt):
        write_whole(release, tmp_path / "dist")
    assert not list((tmp_path / "dist").iterdir())
