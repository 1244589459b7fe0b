"""`build_release --source URL`: a repository elsewhere is fetched, built and not kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from deployments.models import Release
from tests.deployments.sources.git_host import GitHost, git_host
from tests.deployments.world import World
from tests.engine.artifacts.projects import git

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path / "host") as running:
        yield running


@pytest.mark.parametrize("ref", ["main", "v2.0.0", "the commit"])
def test_a_branch_a_tag_or_a_commit_is_built(world: World, host: GitHost, ref: str) -> None:
    commit = host.push("Louder dice", version="2.0.0")
    git(host.work, "tag", "v2.0.0")
    host.publish("refs/tags/v2.0.0", "v2.0.0")
    wanted = commit if ref == "the commit" else ref
    code, said = world.command("colleague", "build_release", "--source", host.repository(), "--ref", wanted)
    assert code == 0, said
    made = Release.objects.get(identifier=json.loads(said)["release"])
    assert (made.version, made.commit, made.tag) == ("2.0.0", commit, "v2.0.0")
    assert list(Path(settings.STATE_DIR).glob("fetched-*")) == []


@pytest.mark.parametrize(
    ("source", "ref", "error"),
    [
        ("URL", None, "no_ref"),
        ("URL", "nowhere", "unknown_ref"),
        ("URL", "--upload-pack=x", "unknown_ref"),
        ("file:///etc", "main", "fetch_failed"),
        ("http://198.51.100.7/a/b.git", "main", "fetch_failed"),
        ("ext://sh", "main", "fetch_failed"),
        ("/nowhere", "main", "unknown_source"),
    ],
)
def test_what_cannot_be_fetched_is_said(world: World, host: GitHost, source: str, ref: str | None, error: str) -> None:
    address = host.repository() if source == "URL" else source
    code, said = world.command("colleague", "build_release", "--source", address, *([f"--ref={ref}"] if ref else []))
    assert code in (1, 2)
    assert json.loads(said)["error"] == error
