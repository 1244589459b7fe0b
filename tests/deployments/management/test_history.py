"""What was deployed, as a table, as JSON and as a changelog."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release
from tests.deployments.management.commands import exit_code
from tests.fixtures.records import MakeRelease

pytestmark = pytest.mark.django_db

Deployed = Callable[..., Deployment]


@pytest.fixture
def deployed() -> Deployed:
    def make(release: Release, status: Status = Status.SUCCEEDED, at: datetime | None = None) -> Deployment:
        at = at or timezone.now()
        return Deployment.objects.create(
            environment=Environment.objects.get(name="production"),
            release=release,
            status=status,
            requested_by="olga",
            seal="0" * 64,
            started_at=at - timedelta(seconds=4),
            finished_at=at,
        )

    return make


def printed(*argv: str) -> str:
    out = io.StringIO()
    assert exit_code("history", *argv, out=out) == 0
    return out.getvalue()


def test_a_changelog_names_each_version_that_got_there_once_with_its_commits(
    make_release: MakeRelease, deployed: Deployed
) -> None:
    first, second, failed = make_release("1.0.0"), make_release("1.1.0"), make_release("1.2.0")
    Release.objects.filter(pk=second.pk).update(change_log="Dice with eight sides\nFaster answers")
    deployed(first, at=datetime(2026, 3, 1, tzinfo=UTC))
    deployed(second, at=datetime(2026, 3, 2, tzinfo=UTC))
    deployed(failed, Status.ROLLED_BACK)
    deployed(second, at=datetime(2026, 3, 5, tzinfo=UTC))
    text = printed("production", "--format", "changelog")
    assert text.rstrip("\n").split("\n") == [
        "## 1.1.0 (2026-03-02)",
        "",
        "- Dice with eight sides",
        "- Faster answers",
        "",
        "## 1.0.0 (2026-03-01)",
    ]


def test_a_changelog_has_one_heading_for_a_version_that_reached_two_environments(
    make_release: MakeRelease, deployed: Deployed
) -> None:
    release = make_release("1.0.0")
    row = deployed(release)
    row.pk, row.environment = None, Environment.objects.get(name="test")
    row.save()
    assert printed("--format", "changelog").count("## 1.0.0") == 1


def test_json_tells_everything_and_the_table_one_line_each(make_release: MakeRelease, deployed: Deployed) -> None:
    deployed(make_release("1.0.0"))
    deployed(make_release("1.1.0"), Status.ROLLED_BACK)
    rows = json.loads(printed("production", "--json"))
    assert [(row["release"].rpartition("-")[0], row["exit_code"], row["seconds"]) for row in rows] == [
        ("1.1.0", 5, 4.0),
        ("1.0.0", 0, 4.0),
    ]
    assert json.loads(printed("--format", "json")) == rows
    assert len(printed("production").splitlines()) == 2
    assert len(printed("--limit", "1").splitlines()) == 1
    assert printed("test").strip() == "Nothing has been deployed yet."


def test_an_unknown_environment_is_named_with_those_that_exist() -> None:
    assert exit_code("history", "staging") == 2
