"""`/palette`: where one person may go and what they may do, by a few letters. What the keyboard's palette asks."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboard.views.navigation import menu
from deployments.admin.base import PortalAdmin
from deployments.core.texts import whole_number
from deployments.http.members import members_only
from deployments.http.pages import uncached
from deployments.models import Deployment, Environment, Release, Server

MOST, OF_EACH = 20, 6
_PAGES = (
    ("Status", "status"),
    ("Deployments", "deployments"),
    ("Deployment statistics", "statistics"),
    ("Alerts", "alerts"),
    ("Incidents", "incidents"),
    ("Open an incident", "incident-new"),
    ("Readiness", "readiness"),
    ("Documentation", "documents"),
    ("First steps", "start"),
    ("Control room: overview", "admin:index"),
    ("Your account", "admin:account"),
)


@dataclass(frozen=True)
class Entry:
    """One line of the palette; `kind` says what it is in a word."""

    title: str
    link: str
    kind: str

    def fits(self, words: list[str]) -> bool:
        """Whether every word is in it."""
        text = f"{self.title} {self.kind}".lower()
        return all(word in text for word in words)


@require_safe
@members_only
def palette(request: HttpRequest) -> HttpResponseBase:
    """The entries that hold every word of `q`; without words, the pages."""
    words = request.GET.get("q", "").replace("\x00", "")[:100].lower().split()
    found = [entry for entry in _entries(request, words) if entry.fits(words)]
    return uncached(JsonResponse({"entries": [asdict(entry) for entry in found[:MOST]]}))


def _entries(request: HttpRequest, words: list[str]) -> Iterator[Entry]:
    yield from (Entry(title, reverse(name), "Page") for title, name in _PAGES)
    for group in menu(request):
        yield from (Entry(entry.title, entry.link, group.title) for entry in group.entries)
    if not words:
        return
    yield from _additions(request)
    rows = Server.objects.exclude(state=Server.State.RETIRED)
    servers = _called(rows.select_related("environment", "current_release", "bot_state"), "name", words)
    environments = _called(Environment.objects.filter(retired_at=None), "name", words)
    for server in servers:
        yield Entry(server.name, reverse("bot", args=[server.name]), "Bot")
        yield Entry(server.name, reverse("admin:deployments_server_change", args=[server.pk]), "Server")
        yield Entry(f"Journal of {server.name}", reverse("journal", args=[server.name]), "Page")
    for environment in environments:
        link = reverse("admin:deployments_environment_change", args=[environment.pk])
        yield Entry(str(environment), link, "Environment")
    yield from _records(words)
    for obj in [*environments, *servers]:
        yield from _actions(request, obj, str(obj))


def _records(words: list[str]) -> Iterator[Entry]:
    numbers = [number for word in words if (number := whole_number(word.lstrip("#"))) is not None]
    rows = (
        Deployment.objects.with_taken_back()
        .filter(pk__in=numbers)
        .select_related("environment", "release")
        .defer("snapshot")
    )
    for row in rows:
        title = f"#{row.pk} {row.release} on {row.environment}{', taken back' if row.taken_back else ''}"
        yield Entry(title, reverse("deployment", args=[row.pk]), "Deployment")
    for release in Release.objects.filter(_any("identifier", words)).order_by("-id")[:OF_EACH]:
        link = reverse("admin:deployments_release_change", args=[release.pk])
        yield Entry(release.identifier, link, "Release")


def _additions(request: HttpRequest) -> Iterator[Entry]:
    """What this person may add."""
    for model, room in admin.site._registry.items():
        if isinstance(room, PortalAdmin) and room.has_add_permission(request):
            address = f"admin:{model._meta.app_label}_{model._meta.model_name}_add"
            yield Entry(room.add_label(), reverse(address), "Action")


def _actions(request: HttpRequest, obj: Model, name: str) -> Iterator[Entry]:
    """What this person may do to it now: the buttons of its page."""
    room = admin.site.get_model_admin(type(obj))
    assert isinstance(room, PortalAdmin)  # noqa: S101  (they are registered as such)
    for action in room.actions_for(request, obj):
        yield Entry(f"{action['label']} · {name}", action["url"], "Action")


def _called(rows, column: str, words: list[str]):  # type: ignore[no-untyped-def]  # of any model
    """Rows whose name holds one of the words, else the first ones: `restart` alone names none."""
    return list(rows.filter(_any(column, words)).order_by(column)[:OF_EACH]) or list(rows.order_by(column)[:OF_EACH])


def _any(column: str, words: list[str]) -> Q:
    asked = Q()
    for word in words:
        asked |= Q(**{f"{column}__icontains": word})
    return asked
