"""`/servers/<name>/journal/`: what the services of a server write, searched, followed or downloaded."""

import time
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from deployments.core.moments import moment
from deployments.http.members import members_only, signed_in
from deployments.http.pages import present, uncached
from deployments.models import Server
from deployments.operations.journal import FOLLOW_SECONDS, LEVELS, Line, LogQuery, read
from deployments.operations.requesting import units_of
from engine.errors import PortalError

LINES, DOWNLOADED = 200, 5000
_LOOKED, MOST_FOLLOWED = "_journal", 20


@dataclass(frozen=True)
class Form:
    """What the page's form holds, as it was typed."""

    unit: str
    since: str
    grep: str
    level: str
    follow: bool

    @classmethod
    def of(cls, request: HttpRequest) -> "Form":
        """From the address."""
        get = request.GET.get
        return cls(get("unit", ""), get("since", ""), get("grep", ""), get("level", "debug"), get("follow") == "1")

    def wanted(self, lines: int) -> LogQuery:
        """Raises InvalidRequest."""
        units = [self.unit] if self.unit else []
        return LogQuery(units, moment(self.since, timezone.now()), self.grep, self.level, lines)


@require_safe
@members_only
def journal_page(request: HttpRequest, name: str) -> HttpResponseBase:
    """The page; with `?part=live` its lines alone, with `?download=1` as a text file."""
    rows = Server.objects.select_related("environment", "current_release")
    server = get_object_or_404(rows, name=name)
    form, download = Form.of(request), request.GET.get("download") == "1"
    lines: list[Line] = []
    error: PortalError | None = None
    try:
        lines = read(
            actor=signed_in(request),
            server=server,
            wanted=form.wanted(DOWNLOADED if download else LINES),
            recorded=download or not _followed(request, name, form),
        )
    except PortalError as refused:
        error = refused
    if download and error is None:
        text = "".join(f"{line}\n" for line in lines)
        answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{server.name}.log"'
        return uncached(answer)
    context = {
        "server": server,
        "form": form,
        "lines": lines,
        "error": error,
        "levels": LEVELS,
        "units": _units(server),
        "query": request.GET.urlencode(),
    }
    response = present(request, "dashboard/journal.html", "dashboard/journal_live.html", context)
    response.status_code = error.http_status if error else 200
    return response


def _followed(request: HttpRequest, name: str, form: Form) -> bool:
    """Whether this is the next look of a page that is on record, and for an hour at most; else it is the first one."""
    look, now = "\0".join([name, form.unit, form.since, form.grep, form.level]), time.time()
    looks = {key: until for key, until in request.session.get(_LOOKED, {}).items() if until > now}
    if request.GET.get("part") == "live" and look in looks:
        return True
    request.session[_LOOKED] = {**dict(list(looks.items())[-MOST_FOLLOWED:]), look: now + FOLLOW_SECONDS}
    return False


def _units(server: Server) -> list[str]:
    try:
        return units_of(server)
    except (PortalError, OSError):
        return []
