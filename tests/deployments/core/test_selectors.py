"""Naming things of the record: a release, where several applications have one of a version."""

import pytest

from deployments.core.selectors import release_named
from deployments.models import Release
from engine.errors import InvalidRequest, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def releases() -> dict[str, Release]:
    """`1.0.0` of two applications, and `1.1.0` of one."""
    rows = [("tea", "1.0.0", "a"), ("dice", "1.0.0", "b"), ("tea", "1.1.0", "c")]
    return {
        f"{name} {version}": Release.objects.create(
            identifier=f"{version}-{digest * 12}",
            name=name,
            version=version,
            manifest_digest=digest * 64,
            size=1,
            files=1,
        )
        for name, version, digest in rows
    }


def test_a_version_means_that_of_the_application_it_is_for(releases: dict[str, Release]) -> None:
    assert release_named("1.0.0", "tea") == releases["tea 1.0.0"]
    assert release_named("1.0.0", "dice") == releases["dice 1.0.0"]
    assert release_named("1.1.0") == release_named("1.1.0", "tea") == releases["tea 1.1.0"]
    assert release_named(releases["dice 1.0.0"].identifier, "dice") == releases["dice 1.0.0"]


def test_where_no_application_is_meant_or_it_has_none_of_that_version_it_is_said(releases: dict[str, Release]) -> None:
    for application in ("", "coffee"):
        with pytest.raises(InvalidRequest, match="Several releases"):
            release_named("1.0.0", application)
    assert release_named("1.1.0", "dice") == releases["tea 1.1.0"], "and the request says whose it is"
    with pytest.raises(NotFound):
        release_named("9.9.9", "tea")
