"""Look-ups that answer in a sentence when there is nothing, and the facts several pages share."""

from statistics import median

from django.db.models import QuerySet

from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from engine.errors import InvalidRequest, NotFound


def environment_named(name: str) -> Environment:
    """The environment, or NotFound listing those that exist."""
    found = Environment.objects.filter(name=name).first()
    if found is None:
        names = ", ".join(Environment.objects.values_list("name", flat=True))
        raise NotFound(
            f"There is no environment {name!r}.", hint=f"Choose from: {names}.", reason="unknown_environment"
        )
    return found


def server_named(name: str) -> Server:
    """The server, or NotFound."""
    found = Server.objects.select_related("environment", "current_release").filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no server {name!r}.", hint="Add it with `manage.py enroll`.", reason="unknown_server")
    return found


def pinned_fingerprint(name: str) -> str:
    """Of the host key that a server has to show; empty for one that is not enrolled."""
    return Server.objects.filter(name=name).values_list("fingerprint", flat=True).first() or ""


def release_named(identifier: str) -> Release:
    """The release with this identifier or version, or NotFound."""
    found = Release.objects.filter(identifier=identifier).first()
    if found is not None:
        return found
    by_version = list(Release.objects.filter(version=identifier)[:2])
    if len(by_version) == 1:
        return by_version[0]
    if by_version:
        raise InvalidRequest(f"Several releases have the version {identifier!r}.", hint="Give the full identifier.")
    raise NotFound(
        f"There is no release {identifier!r}.",
        hint="`manage.py releases` lists them, `manage.py build_release` makes one.",
        reason="unknown_release",
    )


def newest_release(application: str = "") -> Release:
    """The release built last that is not quarantined, or NotFound saying that none was built."""
    rows = Release.objects.filter(quarantined_at=None)
    if application:
        rows = rows.filter(name=application)
    found = rows.first()
    if found is None:
        raise NotFound("No release has been built yet.", hint="Run `manage.py build_release`.", reason="no_release")
    return found


def deployment_numbered(number: int) -> Deployment:
    """The deployment, or NotFound."""
    found = Deployment.objects.select_related("environment", "release").filter(pk=number).first()
    if found is None:
        raise NotFound(
            f"There is no deployment {number}.", hint="`manage.py history` lists them.", reason="unknown_deployment"
        )
    return found


def active_deployment(environment: Environment) -> Deployment | None:
    """The deployment that is queued, running or verifying there, if any."""
    return Deployment.objects.active().filter(environment=environment).select_related("release").first()


def live_release(environment: Environment) -> Release | None:
    """What runs there by the record: the release of the last success that nothing replaced."""
    last = (
        Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED)
        .select_related("release")
        .order_by("-finished_at", "-id")
        .first()
    )
    return last.release if last else None


def expected_seconds(environment: Environment, kind: Kind) -> float | None:
    """Median claim → end of the last ten successes of this kind, in seconds; None without one."""
    rows = Deployment.objects.filter(environment=environment, kind=kind, status=Status.SUCCEEDED).exclude(
        started_at=None
    )[:10]
    durations = [row.seconds for row in rows if row.seconds is not None]
    return median(durations) if durations else None


def unreviewed_break_glass() -> QuerySet[Deployment]:
    """Uses of break-glass that no second person has looked at yet; every page shows them until somebody has."""
    return (
        Deployment.objects.filter(break_glass=True, reviewed_at=None)
        .select_related("environment", "release")
        .order_by("id")
    )


def drifted_servers() -> list[Server]:
    """Servers in service that differ from their record in what nobody has accepted."""
    rows = Server.objects.exclude(state=Server.State.RETIRED).exclude(drift={})
    return [server for server in rows.select_related("environment") if server.open_drift]


def waiting_requests() -> QuerySet[Deployment]:
    """Deployments that wait for somebody's approval, oldest first."""
    rows = Deployment.objects.filter(status=Status.AWAITING_APPROVAL, kind=Kind.DEPLOYMENT)
    return rows.select_related("environment", "release").order_by("id")
