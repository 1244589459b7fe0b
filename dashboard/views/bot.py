"""`/bots/<name>/`: one bot with its charts, its ninety days as a table, and what happened."""

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.bots import bot_named
from dashboard.selectors.detail import detail
from dashboard.selectors.series import RANGES
from dashboard.selectors.status import page_settings
from dashboard.views.status import choice_of
from deployments.http.members import is_member, signed_in
from deployments.http.pages import present


@require_safe
def bot_page(request: HttpRequest, name: str) -> HttpResponseBase:
    """The page of the bot on the server `name`."""
    page = page_settings()
    members = is_member(request)
    if not page.public and not members:
        return redirect_to_login(request.get_full_path())
    now = timezone.now()
    bot = bot_named(name, now)
    if bot is None:
        raise Http404("No bot of that name is enrolled.")
    found = detail(page, bot, choice_of(request), now, actor=signed_in(request) if members else None)
    context = {"page": page, "detail": found, "mood": found.situation.mood, "now": now, "ranges": RANGES.values()}
    if members:
        context["me"] = signed_in(request).person
    return present(request, "dashboard/bot.html", "dashboard/bot_live.html", context)
