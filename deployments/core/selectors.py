"""Look-ups that answer in a sentence when there is nothing, and the facts several pages share."""

from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, FloatField, Func, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.sql.compiler import SQLCompiler

from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server, Target
from engine.errors import InvalidRequest, NotFound


def environment_named(text: str) -> Environment:
    """The one environment that `NAME` or `APPLICATION/NAME` means.

    Raises NotFound listing those that exist, InvalidRequest listing those that it could mean.
    """
    found = list(environments_called(text))
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(
            f"There are several environments {text!r}: {', '.join(row.path for row in found)}.",
            hint=f"Say which: `{found[0].path}`.",
            reason="ambiguous_environment",
        )
    names = ", ".join(str(row) for row in Environment.objects.all())
    raise NotFound(f"There is no environment {text!r}.", hint=f"Choose from: {names}.", reason="unknown_environment")


def environments_called(text: str) -> QuerySet[Environment]:
    """Every environment that `NAME` or `APPLICATION/NAME` could mean."""
    application, name = read_path(text)
    if application is None:
        return Environment.objects.filter(name=name)
    return Environment.objects.filter(application=application, name=name).exclude(application="")


def read_path(text: str) -> tuple[str | None, str]:
    """Application and name in `APPLICATION/NAME`; None and the name where it names none. No other place reads this."""
    application, slash, name = text.partition("/")
    return (application, name) if slash else (None, text)


def environment_meant(text: str) -> Environment | None:
    """The same for what other machines say (a label of an alert): None where it is none, or several."""
    found = list(environments_called(text)[:2])
    return found[0] if len(found) == 1 else None


def server_named(name: str) -> Server:
    """The server, or NotFound."""
    found = Server.objects.select_related("environment", "current_release").filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no server {name!r}.", hint="Add it with `manage.py enroll`.", reason="unknown_server")
    return found


def pinned_fingerprint(name: str) -> str:
    """Of the host key that a server has to show; empty for one that is not enrolled."""
    return Server.objects.filter(name=name).values_list("fingerprint", flat=True).first() or ""


def release_named(identifier: str, application: str = "") -> Release:
    """The release with this identifier or version, or NotFound; for an `application`, its version is meant."""
    found = Release.objects.filter(identifier=identifier).first()
    if found is not None:
        return found
    by_version = list(Release.objects.filter(version=identifier)[:2])
    if application and len(by_version) > 1:
        by_version = list(Release.objects.filter(version=identifier, name=application)) or by_version
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
    # there is one at most; unordered, so that SQLite looks for the status and does not read every deployment in order
    rows = Deployment.objects.active().filter(environment=environment).select_related("release")
    return next(iter(rows.order_by()), None)


def live_release(environment: Environment) -> Release | None:
    """What runs there by the record: the release of the last success, while a server that it went to has anything.

    None once the last of them was decommissioned, whatever was enrolled in its place since.
    """
    last = _last_success(environment)
    return last.release if last is not None and not getattr(last, "gone") else None  # noqa: B009  (annotated)


def last_release(environment: Environment) -> Release | None:
    """The release of the last success, whether or not a server of it is left."""
    last = _last_success(environment)
    return last.release if last is not None else None


def _last_success(environment: Environment) -> Deployment | None:
    rows = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED).annotate(gone=gone())
    return rows.select_related("release").order_by("-finished_at", "-id").first()


def gone() -> Q:
    """For a query of deployments: whether nothing runs any more on any of the servers that one went to."""
    targets = Target.objects.filter(deployment=OuterRef("pk"))
    left = targets.filter(server__current_release__isnull=False).exclude(server__state=Server.State.RETIRED)
    return Exists(targets) & ~Exists(left)


def followed_by(deployment: Deployment) -> Deployment | None:
    """The next success in its environment: since then, what `deployment` put there runs there no more. One query."""
    if deployment.status != Status.SUCCEEDED:
        return None
    rows = Deployment.objects.successes_after(deployment.environment_id, deployment.finished_at, deployment.pk)
    later = rows.select_related("release").first()
    return later if later is not None and later.release_id != deployment.release_id else None


def was_taken_back(deployment: Deployment) -> bool:
    """Whether what followed it was a rollback. No query for a row of a list, which knows it."""
    if hasattr(deployment, "went_back"):
        return deployment.taken_back
    followed = followed_by(deployment)
    return followed is not None and followed.kind == Kind.ROLLBACK


def expected_seconds(environment: Environment, kind: Kind) -> float | None:
    """Median claim → end of the last ten successes of this kind, in seconds; None without one."""
    rows = Deployment.objects.filter(environment=environment, kind=kind, status=Status.SUCCEEDED).exclude(
        started_at=None
    )[:10]
    durations = [row.seconds for row in rows if row.seconds is not None]
    return median(durations) if durations else None


def usual_seconds(deployment: Deployment) -> float | None:
    """Median of the last ten successes like it that are earlier than it; None where there are fewer than three."""
    rows = Deployment.objects.filter(
        environment=deployment.environment_id, kind=deployment.kind, status=Status.SUCCEEDED, pk__lt=deployment.pk
    )
    seconds = [row.seconds for row in rows.exclude(started_at=None).defer("snapshot")[:10] if row.seconds is not None]
    return median(seconds) if len(seconds) > 2 else None


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


def unsettled_deployments() -> list[Deployment]:
    """Interrupted ones that need a person: after them nothing has begun in their environment. One query."""
    began = Deployment.objects.filter(environment=OuterRef("environment"), started_at__isnull=False)
    rows = Deployment.objects.filter(
        status=Status.INTERRUPTED, environment__in=Environment.objects.order_by().values("pk")
    )
    return list(
        rows.filter(pk=Subquery(began.order_by("-pk").values("pk")[:1])).select_related("environment", "release")
    )


def waiting_requests() -> QuerySet[Deployment]:
    """Deployments that wait for somebody's approval, oldest first."""
    rows = Deployment.objects.filter(status=Status.AWAITING_APPROVAL, kind=Kind.DEPLOYMENT)
    return rows.select_related("environment", "release").order_by("id")


def newest_of_each(environments: Iterable[int], rows: QuerySet[Deployment], count: int) -> dict[int, list[int]]:
    """The numbers of the first `count` of `rows` in each environment, in any order. One query, along an index."""
    return {pk: [int(each) for each in listed] for pk, listed in _of_each(environments, rows, F("pk"), count)}


def seconds_of_each(environments: Iterable[int], rows: QuerySet[Deployment], count: int) -> dict[int, list[float]]:
    """How long the first `count` of `rows` took, claim to end, to the millisecond. One query, along an index."""
    took = SecondsBetween("finished_at", "started_at")
    return {pk: [float(each) for each in listed] for pk, listed in _of_each(environments, rows, took, count)}


def _of_each(
    environments: Iterable[int], rows: QuerySet[Deployment], wanted: F | Func, count: int
) -> Iterator[tuple[int, list[str]]]:
    own = rows.filter(environment=OuterRef("pk")).values(wanted=wanted)[:count]
    found = Environment.objects.filter(pk__in=list(environments)).order_by().annotate(listed=_Listed(own))
    for pk, listed in found.values_list("pk", "listed"):
        yield pk, listed.split(",") if listed else []


class SecondsBetween(Func):
    """Seconds from the second of two moments to the first, to the millisecond, or null.

    The database works them out: a difference in Django's way is a call of Python for each row on SQLite.
    """

    template = "ROUND((julianday(%(expressions)s)) * 86400, 3)"
    arg_joiner = ") - julianday("
    output_field = FloatField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """There moments are no text."""
        template = "ROUND(EXTRACT(EPOCH FROM %(expressions)s), 3)::double precision"
        sql, parameters = self.as_sql(compiler, connection, template=template, arg_joiner=" - ")
        return sql, tuple(parameters)


class _Listed(Subquery):
    """What a subquery finds, as one text."""

    template = "(SELECT group_concat(wanted) FROM (%(subquery)s) AS found)"
    output_field = TextField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """There it is called otherwise."""
        template = "(SELECT string_agg(wanted::text, ',') FROM (%(subquery)s) AS found)"
        return self.as_sql(compiler, connection, template=template)
