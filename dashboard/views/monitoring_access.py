"""`/auth/staff`: what the proxy in front asks before it lets somebody see Prometheus or Alertmanager."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from engine.commands.proxying import READ_ONLY, readable


@require_safe
def staff_only(request: HttpRequest) -> HttpResponse:
    """204 for signed-in staff who look; others are sent to the sign-in, and from there to where they wanted to go.

    Whatever the proxy forwards, a method that could change something is refused here too.
    """
    wanted = request.headers.get("X-Forwarded-Uri", "/")
    if not readable(request.headers.get("X-Forwarded-Method", "GET"), wanted):
        return HttpResponse(f"{READ_ONLY}\n", status=403, content_type="text/plain; charset=utf-8")
    if request.user.is_authenticated and request.user.is_active and request.user.is_staff:
        return HttpResponse(status=204)
    if not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        wanted = "/"
    # with the portal's address: the page that asked may be another origin
    return HttpResponseRedirect(f"{settings.PORTAL_URL}{reverse('admin:login')}?{urlencode({'next': wanted})}")
