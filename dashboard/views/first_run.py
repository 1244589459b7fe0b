"""`/start/`: from an empty portal to a watched bot. It can be left any time: what is done is read from the records."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.selectors.first_run import first_steps
from deployments.http.members import members_only
from deployments.http.pages import uncached


@require_safe
def start_page(request: HttpRequest) -> HttpResponseBase:
    """The steps: for members, and for everybody as long as the portal knows nobody who could sign in."""
    if User.objects.exists():
        return _for_members(request)
    return _page(request)


@members_only
def _for_members(request: HttpRequest) -> HttpResponseBase:
    return _page(request)


def _page(request: HttpRequest) -> HttpResponseBase:
    steps = first_steps()
    number, following = next(((place, step) for place, step in enumerate(steps, 1) if not step.done), (0, None))
    done = sum(step.done for step in steps)
    context = {"steps": steps, "next": following, "next_number": number, "done": done, "now": timezone.now()}
    return uncached(render(request, "dashboard/start.html", context))
