"""`/start/`: from an empty portal to a watched bot. It can be left any time: what is done is read from the records."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.first_run import first_steps
from deployments.core.actors import Actor
from deployments.http.members import members_only, signed_in
from deployments.http.pages import uncached


@require_safe
def start_page(request: HttpRequest) -> HttpResponseBase:
    """The steps: for members, and for everybody as long as the portal knows nobody who could sign in."""
    if User.objects.exists():
        return _for_members(request)
    return _page(request, None)


@members_only
def _for_members(request: HttpRequest) -> HttpResponseBase:
    return _page(request, signed_in(request))


def _page(request: HttpRequest, actor: Actor | None) -> HttpResponseBase:
    context = {"first": first_steps(actor), "now": timezone.now()}
    return uncached(render(request, "dashboard/start.html", context))
