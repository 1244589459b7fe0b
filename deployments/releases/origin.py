"""Where a release comes from, and which environments take it: the request asks, and the claim asks again."""

from django.db.models import Q

from deployments.models import Environment, Release
from engine.artifacts.version import by_commit, tag_names
from engine.errors import InvalidRequest

From = Environment.ReleasesFrom
STRICTNESS: dict[str, int] = {name: place for place, name in enumerate(From.values)}


def taken_by(environment: Environment) -> Q:
    """Which rows of Release the environment takes."""
    if environment.releases_from == From.COMMITS:
        return Q()
    given = ~Q(version__contains="+g")
    return given if environment.releases_from == From.VERSIONS else given & ~Q(tag="")


def refuse_origin(environment: Environment, release: Release) -> None:
    """Raise InvalidRequest for a release of a kind that the environment does not take."""
    version = release.version.partition("+")[0]
    if environment.releases_from != From.COMMITS and by_commit(release.version):
        raise InvalidRequest(
            f"{environment} takes no release that a commit named, and {release} is one.",
            hint="Raise VERSION, and build the release without --by-commit.",
            reason="commit_refused",
        )
    if environment.releases_from == From.TAGS and not release.tag:
        raise InvalidRequest(
            f"{environment} takes releases from tags only, and no tag v{version} was at the commit of {release} "
            "when it was built.",
            hint=f"Tag its commit, then build_release --ref v{version}: the same content is the same release.",
            reason="tag_needed",
        )


def tag_said(version: str, ref: str) -> str:
    """The tag that an uploader says a release was built from; empty where `ref` is none of its version."""
    name = ref.removeprefix("refs/tags/")
    return name if name in tag_names(version) else ""
