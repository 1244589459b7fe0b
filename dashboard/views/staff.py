"""`/auth/staff`: what the proxy in front asks before it lets somebody see Prometheus or Alertmanager."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe


@require_safe
def staff_only(request: HttpRequest) -> HttpResponse:
    """204 for signed-in staff; others are sent to the sign-in, and from there to where they wanted to go."""
    if request.user.is_authenticated and request.user.is_active and request.user.is_staff:
        response = HttpResponse(status=204)
    else:
        wanted = request.headers.get("X-Forwarded-Uri", "/")
        if not wanted.startswith("/") or wanted.startswith("//"):
            wanted = "/"
        response = HttpResponseRedirect(f"{reverse('admin:login')}?{urlencode({'next': wanted})}")
    response["Cache-Control"] = "no-store"
    return response
