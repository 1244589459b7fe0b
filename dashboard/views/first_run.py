"""`/start/`: from an empty portal to a watched bot. It can be left any time: what is done is read from the records."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.first_run import first_steps, first_steps_untold
from dashboard.selectors.first_step import FirstSteps
from deployments.http.members import members_only, signed_in
from deployments.http.pages import uncached


@require_safe
def start_page(request: HttpRequest) -> HttpResponseBase:
    """The steps for members; as long as nobody could sign in they are for everybody, without what is stored."""
    if User.objects.exists():
        return _for_members(request)
    return _page(request, first_steps_untold())


@members_only
def _for_members(request: HttpRequest) -> HttpResponseBase:
    return _page(request, first_steps(signed_in(request)))


def _page(request: HttpRequest, first: FirstSteps) -> HttpResponseBase:
    return uncached(render(request, "dashboard/start.html", {"first": first, "now": timezone.now()}))
