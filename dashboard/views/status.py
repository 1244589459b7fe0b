"""`/`: the status page, and the part of it that is fetched again while it is open."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from dashboard.models import StatusPage
from dashboard.selectors.first_run import first_steps, in_use
from dashboard.selectors.series import RANGES
from dashboard.selectors.status import Choice, page_settings, status
from dashboard.views.cached_parts import Part, shared
from deployments.core.texts import whole_number
from deployments.http.members import is_member
from deployments.http.pages import revalidated, uncached
from deployments.models import Server

_SHARED_PAGES = 20  # beyond them, parts are drawn for each visitor: names of files are never up to visitors


@require_safe
def status_page(request: HttpRequest) -> HttpResponseBase:
    """The status page. With `?part=live` only what changes, for the page's own script.

    Strangers all see the same: their browsers keep it, and get it again only when it has changed.
    """
    page = page_settings()
    members = is_member(request)
    if not page.public and not members:
        return redirect_to_login(request.get_full_path())
    choice = choice_of(request)
    if choice.bot or choice.environment or choice.page > _SHARED_PAGES:
        part = _drawn(page, choice, members=members)
    else:
        name = f"status-{'members' if members else 'anyone'}-{choice.range}-{choice.page}"
        part = shared(name, lambda: _drawn(page, choice, members=members))
    context = {"nav": "status", "page": page, "title": part.title, "mood": part.mood, "live": mark_safe(part.html)}  # noqa: S308  (ours)
    if part.mood == "empty" and not (User.objects.exists() or Server.objects.exists()):
        return uncached(HttpResponseRedirect(reverse("start")))  # nobody could do anything else here yet
    if request.GET.get("part") == "live":
        answer = HttpResponse(part.html)
    else:
        answer = render(request, "dashboard/status.html", context)
    return uncached(answer) if request.user.is_authenticated else revalidated(request, answer)


@require_safe
def favicon(_request: HttpRequest) -> HttpResponse:
    """Browsers ask for this name on pages that do not name an icon themselves."""
    return HttpResponseRedirect(static("dashboard/icon.svg"))


def choice_of(request: HttpRequest) -> Choice:
    """What the query string picks; what is not valid is the default."""
    query = request.GET
    wanted = query.get("range", "")
    return Choice(
        environment=query.get("environment", "")[:63],
        page=whole_number(query.get("page", ""), digits=5) or 1,
        bot=query.get("bot", "")[:31],
        range=wanted if wanted in RANGES else "",
    )


def _drawn(page: StatusPage, choice: Choice, *, members: bool) -> Part:
    now = timezone.now()
    found = status(page, choice, now, members=members)
    context: dict[str, Any] = {"status": found, "now": now, "ranges": RANGES.values()}
    if members:
        context["first"] = None if in_use() else first_steps(None)
        context["links"] = {"prometheus": settings.PROMETHEUS_URL, "alertmanager": settings.ALERTMANAGER_URL}
    html = render_to_string("dashboard/status_live.html", context)
    return Part(f"{found.situation.headline} · {page.title}", html, found.situation.mood)
