"""Which releases an environment takes: of any commit, of versions, of tags only; at the request and at the claim."""

import json
from pathlib import Path

import pytest

from deployments.core.actors import system_actor
from deployments.environments.policies import change_policy
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, Release
from deployments.releases.artifacts import open_release
from deployments.releases.builds import build_release
from deployments.releases.origin import tag_said
from deployments.requests.approvals import approve
from deployments.requests.choices import choose_release, promoted_release
from deployments.requests.release_options import offers
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.artifacts.errors import MissingVersion, UnknownRef
from engine.errors import Conflict, InvalidRequest, NotApproved
from tests.deployments.world import World
from tests.engine.artifacts.projects import commit_all, git, project

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
ACTOR = system_actor("tests")


@pytest.fixture
def source(db: None, state_dir: Path, tmp_path: Path) -> Path:
    tree = project(tmp_path / "source")
    commit_all(tree)
    return tree


def test_a_commit_names_a_release_after_the_last_version(source: Path) -> None:
    first, _ = build_release(actor=ACTOR, source=source, ref="main")
    commit = commit_all(project(source, {"tea/__main__.py": "print('more tea')\n"}), "More tea")
    with pytest.raises(Conflict, match=r"1\.2\.3") as refused:
        build_release(actor=ACTOR, source=source, ref="main")
    assert "let the commit name it" in refused.value.hint
    made, new = build_release(actor=ACTOR, source=source, ref="main", by_commit=True)
    assert (made.version, new, made.commit) == (f"1.2.3+g{commit[:7]}", True, commit)
    with open_release(made) as reader:
        assert reader.read("VERSION").decode() == f"{made.version}\n", "as its health answer will say"
        assert (reader.version, reader.release_id) == (made.version, made.identifier)
    assert build_release(actor=ACTOR, source=source, ref="main", by_commit=True) == (made, False)
    assert first.version == "1.2.3"


def test_a_version_that_is_a_link_is_named_by_its_commit_too(source: Path) -> None:
    (source / "VERSION").rename(source / "version.txt")
    (source / "VERSION").symlink_to("version.txt")
    commit = commit_all(source)
    assert build_release(actor=ACTOR, source=source, ref="HEAD", by_commit=True)[0].version == f"1.2.3+g{commit[:7]}"


def test_without_git_no_commit_names_anything(db: None, state_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownRef, match="not a git repository"):
        build_release(actor=ACTOR, source=project(tmp_path / "plain"), ref=None, by_commit=True)


def test_a_version_that_leaves_no_room_for_a_commit_is_refused(source: Path) -> None:
    commit_all(project(source, {"VERSION": "1.0.0-a-very-long-name-of-a-candidate\n"}))
    with pytest.raises(MissingVersion, match="leaves no room for a commit"):
        build_release(actor=ACTOR, source=source, ref="HEAD", by_commit=True)


@pytest.mark.parametrize("tag", ["v1.2.3", "1.2.3"])
def test_a_tag_is_noted_when_it_comes_after_the_build(source: Path, tag: str) -> None:
    release, _ = build_release(actor=ACTOR, source=source, ref="main")
    git(source, "tag", "nightly")
    assert release.tag == ""
    git(source, "tag", "--annotate", "--message=one", tag)
    assert build_release(actor=ACTOR, source=source, ref=tag) == (release, False)
    assert Release.objects.get().tag == tag
    build_release(actor=ACTOR, source=source, ref="main")
    assert AuditEvent.objects.filter(name="release.tagged").count() == 1


def test_a_tag_of_its_version_at_another_commit_is_none_of_it(source: Path) -> None:
    git(source, "tag", "v1.2.3")
    commit_all(project(source, {"tea/__main__.py": "print('more tea')\n"}))
    assert build_release(actor=ACTOR, source=source, ref="main")[0].tag == ""


@pytest.mark.parametrize(
    ("ref", "tag"),
    [("v1.2.3", "v1.2.3"), ("refs/tags/1.2.3", "1.2.3"), ("main", ""), ("v1.2.4", ""), ("refs/heads/v1.2.3", "")],
)
def test_an_uploader_says_the_tag(ref: str, tag: str) -> None:
    assert tag_said("1.2.3", ref) == tag


def _named_by_commit(release: Release) -> Release:
    release.version = f"{release.version}+g3f2a91c"
    release.save()
    return release


@pytest.mark.parametrize(
    ("takes", "kind", "words"),
    [
        ("commits", "commit", ""),
        ("commits", "version", ""),
        ("versions", "commit", "takes no release that a commit named"),
        ("versions", "version", ""),
        ("versions", "tag", ""),
        ("tags", "commit", "takes no release that a commit named"),
        ("tags", "version", "takes releases from tags only, and no tag v1.1.0"),
        ("tags", "tag", ""),
    ],
)
def test_what_an_environment_does_not_take_is_refused_at_the_request(
    world: World, takes: str, kind: str, words: str
) -> None:
    Environment.objects.filter(name="test").update(releases_from=takes)
    old, release = world.releases
    Release.objects.filter(pk=old.pk).update(tag="v1.0.0")
    if kind == "commit":
        _named_by_commit(release)
    if kind == "tag":
        release.tag = "v1.1.0"
        release.save()
    offered = [offer.release for offer in offers(world.test)]
    assert choose_release(world.test) == (old if words else release)
    assert offered == ([old] if words else [release, old])
    if not words:
        world.request(environment="test")
        return
    with pytest.raises(InvalidRequest, match=words):
        world.request(environment="test")
    assert not Deployment.objects.exists()


def test_what_it_takes_is_asked_again_when_a_worker_begins(world: World) -> None:
    row = world.request(environment="test")
    Environment.objects.filter(name="test").update(releases_from="tags")
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert "takes releases from tags only" in row.sentence


def test_a_request_that_waits_ends_when_the_environment_takes_tags_only(world: World) -> None:
    row = world.request()
    change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=1,
        approval_hours=24,
        releases_from="tags",
        reason="we tag what we ship",
    )
    with pytest.raises(NotApproved, match="takes releases from tags only"):
        approve(actor=world.people["approver"], deployment=row)


def test_a_promotion_is_asked_too_and_break_glass_skips_approvals_alone(world: World) -> None:
    release = _named_by_commit(world.releases[1])
    world.succeeded(release, "test")
    promoted = promoted_release(world.test, world.production)
    assert promoted == release
    for urgent in (False, True):
        with pytest.raises(InvalidRequest, match="a commit named"):
            request_deployment(
                actor=world.people["colleague"],
                release=promoted,
                environment=world.production,
                reason="now",
                break_glass=urgent,
            )


def test_back_means_back_whatever_is_taken_now(world: World) -> None:
    old, new = world.releases
    for release in (old, new):
        world.succeeded(release)
    Environment.objects.filter(name="production").update(releases_from="tags")
    assert request_rollback(actor=world.people["colleague"], environment=world.production, reason="bad").release == old


def test_the_command_builds_by_commit(world: World, source: Path) -> None:
    code, said = world.command("colleague", "build_release", "--source", source, "--ref", "main", "--by-commit")
    assert code == 0
    assert json.loads(said)["version"].startswith("1.2.3+g")
