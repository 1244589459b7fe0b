"""What nothing needs goes, and nothing else: not what runs, what could be gone back to, what waits, what is record."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.utils import timezone
from django_q.models import Task

from dashboard.tasks import tidy as nightly
from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.models import AuditEvent, Deployment, LogLine, NotificationChannel, NotificationDelivery, Release
from deployments.releases.artifacts import contents, open_release
from deployments.releases.builds import build_release
from deployments.requests.approvals import approve
from deployments.requests.choices import choose_release
from deployments.requests.release_options import offers
from deployments.requests.rollback_targets import rollback_target
from deployments.requests.rollbacks import request_rollback
from deployments.storage import artifacts, needs
from deployments.storage.tidying import tidy
from deployments.storage.unpacking import unpack
from engine.artifacts import contents as stored_contents
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World
from tests.engine.artifacts.projects import lock_line, project, wheel
from tests.fixtures.records import whole

ACTOR = system_actor("tests")


@pytest.fixture
def many(world: World, settings: Any, tmp_path: Path) -> list[Release]:
    """Of another application: five releases, built a minute apart; two of each application are to stay."""
    settings.KEEP_RELEASES = 2
    made = []
    for number in range(5):
        source = project(tmp_path / f"tea-{number}", {"VERSION": f"1.0.{number}\n", "tea/new": f"{number}"})
        release = build_release(actor=ACTOR, source=source, ref=None)[0]
        built = timezone.now() + timedelta(minutes=number - 10)
        Release.objects.filter(pk=release.pk).update(built_at=built)
        made.append(release)
    return made


def here() -> set[str]:
    return set(Release.objects.exclude(artifact="").values_list("name", "version").values_list("version", flat=True))


def readable(release: Release) -> bool:
    release.refresh_from_db()
    with open_release(release) as reader:
        reader.verify()
    return True


def test_the_newest_stay_and_what_they_need_and_nothing_else(many: list[Release]) -> None:
    planned = tidy(actor=ACTOR, dry_run=True)
    assert here() >= {"1.0.1", "1.0.2", "1.0.3"}, "a dry run deletes nothing"
    assert AuditEvent.objects.filter(name="storage.pruned").count() == 0
    with open_release(many[4]) as reader:
        needed = {file.sha256 for file in reader.manifest}
    done = tidy(actor=ACTOR)
    assert done.releases == planned.releases == [str(release) for release in many[:3]]
    assert done.bytes == planned.bytes > 0
    assert all(readable(release) for release in many[3:])
    gone = many[0]
    gone.refresh_from_db()
    with pytest.raises(InvalidRequest, match="Build it again") as refused:
        open_release(gone)
    assert refused.value.reason == "artifact_pruned"
    assert all(contents().path(digest).exists() for digest in needed)
    assert not tidy(actor=ACTOR), "there is nothing more to do"
    event = AuditEvent.objects.get(name="storage.pruned")
    assert event.data["releases"] == done.releases


def test_what_was_deleted_is_back_when_it_is_built_again(many: list[Release], tmp_path: Path) -> None:
    before = whole(many[0])
    tidy(actor=ACTOR)
    again, new = build_release(actor=ACTOR, source=tmp_path / "tea-0", ref=None)
    assert (again, new) == (many[0], True)
    assert whole(again) == before
    assert again.artifact_digest == many[0].artifact_digest


def test_nothing_is_taken_that_runs_or_waits_or_could_be_gone_back_to(world: World, settings: Any) -> None:
    settings.KEEP_RELEASES = 0
    old, new = world.releases
    world.succeeded(old)
    waiting = world.request()
    assert waiting.release == new
    assert {key: set(why) for key, why in needs.reasons().items()} == {
        old.pk: {"runs on production-1"},
        new.pk: {f"deployment {waiting.pk} is not settled"},
    }
    assert tidy(actor=ACTOR).releases == []
    approve(actor=world.people["approver"], deployment=waiting)
    assert readable(old)
    assert readable(new)


def test_an_environment_can_go_back_after_tidying(world: World, settings: Any) -> None:
    settings.KEEP_RELEASES = 0
    old, new = world.releases
    world.succeeded(old)
    world.succeeded(new)
    tidy(actor=ACTOR)
    assert rollback_target(world.production) == old
    row = request_rollback(actor=world.people["operator"], environment=world.production, reason="worse")
    assert row.release == old
    assert readable(old)


def test_what_is_gone_is_neither_offered_nor_chosen(many: list[Release], world: World) -> None:
    tidy(actor=ACTOR)
    home = world.test
    offered = {offer.release.version for offer in offers(home) if offer.release.name == "tea-bot"}
    assert offered == {"1.0.3", "1.0.4"}
    assert choose_release(home).artifact


def test_artifacts_of_earlier_versions_are_taken_apart_and_can_be_put_together_again(world: World) -> None:
    before = {}
    for release in world.releases:
        content = whole(release)
        before[release.pk] = content
        Path(release.artifact.path).write_bytes(content)
    shutil.rmtree(contents().directory)
    assert [release.pk for release in artifacts.whole_ones()] == [release.pk for release in reversed(world.releases)]
    assert tidy(actor=ACTOR).taken_apart == 2
    assert list(artifacts.whole_ones()) == []
    assert {release.pk: whole(release) for release in world.releases} == before
    assert len(unpack(actor=ACTOR)) == 2
    for release in world.releases:
        assert Path(release.artifact.path).read_bytes() == before[release.pk]
    assert unpack(actor=ACTOR) == []


def test_a_damaged_artifact_keeps_every_content(many: list[Release]) -> None:
    damaged = Path(many[4].artifact.path)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    count = len(list(contents().directory.rglob("*")))
    done = tidy(actor=ACTOR)
    assert len(done.releases) == 3
    assert len(list(contents().directory.rglob("*"))) == count
    assert readable(many[3])


def test_what_nobody_names_goes_after_a_day(world: World) -> None:
    left = Path(configured.MEDIA_ROOT) / "releases" / "left.tar"
    shutil.copy(world.releases[0].artifact.path, left)
    drafts = contents().directory / ".new-x"
    drafts.mkdir()
    (drafts / "half").write_text("half")
    tidy(actor=ACTOR)
    assert left.exists(), "somebody may just be storing it"
    assert not drafts.exists()
    os.utime(left, (0, 0))
    tidy(actor=ACTOR)
    assert not left.exists()
    assert all(readable(release) for release in world.releases)


def test_tidying_waits_for_a_backup_and_the_nightly_one_tries_again_tomorrow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_contents, "_TIMEOUT", 0.0)
    with contents().held():
        with pytest.raises(Conflict):
            tidy(actor=ACTOR)
        assert "backed up" in (nightly() or "")
    assert (nightly() or "").startswith("0 artifacts")


def test_wheels_are_there_once_and_go_with_their_releases(
    db: None, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wheel(tmp_path / "index", "leaf")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    source = project(tmp_path / "source", {"requirements.txt": lock_line(made)})
    release = build_release(actor=ACTOR, source=source, ref=None)[0]
    (fetched,) = (state_dir / "wheels").glob("*/*.whl")
    with open_release(release) as reader:
        content = contents().path(reader.manifest.by_path[f"wheels/requirements/{made.name}"].sha256)
    assert fetched.samefile(content)
    assert build_release(actor=ACTOR, source=source, ref=None) == (release, False)
    os.utime(fetched.parent, (0, 0))
    tidy(actor=ACTOR)
    assert fetched.exists()
    Release.objects.filter(pk=release.pk).update(artifact="")
    os.utime(release.artifact.path, (0, 0))
    tidy(actor=ACTOR)
    assert not fetched.parent.exists()
    assert not content.exists()


def test_old_logs_and_notifications_go_and_say_so(world: World, settings: Any) -> None:
    settings.KEEP_LOG_DAYS = 30
    channel = NotificationChannel.objects.create(name="ops", url="json://localhost")
    rows = {}
    for name, days, status in (("old", 31, "succeeded"), ("new", 29, "succeeded"), ("unsettled", 99, "interrupted")):
        row = world.succeeded(world.releases[0])
        ended = timezone.now() - timedelta(days=days)
        Deployment.objects.filter(pk=row.pk).update(finished_at=ended, status=status)
        LogLine.objects.bulk_create(LogLine(deployment=row, text=f"line {number}") for number in range(40))
        delivery = NotificationDelivery.objects.create(channel=channel, event="x", subject="x", title=name, body="x")
        state = "waiting" if name == "unsettled" else "delivered"
        NotificationDelivery.objects.filter(pk=delivery.pk).update(created_at=ended, state=state)
        rows[name] = row
    planned = tidy(actor=ACTOR, dry_run=True)
    done = tidy(actor=ACTOR)
    assert (planned.logs, planned.lines, planned.notifications) == (done.logs, done.lines, done.notifications)
    assert (done.logs, done.lines, done.notifications) == (1, 40, 1)
    assert [line.text for line in rows["old"].log_lines.all()] == ["(40 lines of this log were deleted after 30 days)"]
    assert (rows["new"].log_lines.count(), rows["unsettled"].log_lines.count()) == (40, 40)
    assert set(NotificationDelivery.objects.values_list("title", flat=True)) == {"new", "unsettled"}
    assert Deployment.objects.count() == 3
    assert not tidy(actor=ACTOR)


@pytest.mark.django_db
def test_tasks_that_failed_are_bounded(monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> None:
    monkeypatch.setattr(queueing, "KEPT_FAILURES", 3)
    now = timezone.now()
    for number in range(6):
        when = now - timedelta(minutes=number)
        Task.objects.create(
            id=f"{number:032}", name=f"{number}", func="f", started=when, stopped=when, success=number == 5
        )
    assert tidy(actor=ACTOR, dry_run=True).tasks == 2
    assert tidy(actor=ACTOR).tasks == 2
    assert set(Task.objects.values_list("name", flat=True)) == {"0", "1", "2", "5"}


def test_only_administrators_and_the_shell_prune(world: World) -> None:
    for who in ("viewer", "operator", "approver"):
        with pytest.raises(NotAllowed):
            tidy(actor=world.people[who])
    tidy(actor=world.people["administrator"])
    assert world.command("viewer", "storage")[0] == 0
    assert world.command("viewer", "storage", "prune")[0] != 0
    assert world.command("shell", "storage", "prune", "--dry-run")[0] == 0
    assert world.command("viewer", "storage", "unpack")[0] != 0
