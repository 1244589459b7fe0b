"""`/incidents/subscribe/`: incidents by e-mail, for everybody; a link of the first mail confirms, one of each ends it.

Nothing here needs a cookie: who sends these forms is known by what they hold, an address or a link's token, and mail
programs end a subscription by a POST of their own (RFC 8058). Links only show a button: programs that look at them
before a person does change nothing.
"""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from dashboard.selectors.status import page_settings
from deployments.access.sign_ins import counted_address
from deployments.http import limits
from deployments.http.pages import uncached
from deployments.notifications import subscribers
from engine.errors import PortalError

ASKED, ALL_ASKED = 5, 60
"""Addresses a minute, of one visitor and of all: each costs somebody a mail."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def subscribe_page(request: HttpRequest) -> HttpResponse:
    """The form, and what it answers whatever the address."""
    page = page_settings()
    if not page.public or subscribers.mail_channel() is None:
        raise Http404
    if request.method != "POST":
        return _page(request, "ask")
    address = request.POST.get("address", "")
    try:
        if (who := counted_address(request)) not in ("", "127.0.0.1", "::"):  # no proxy tells: only counted together
            limits.spend(f"subscribe:{who}", ASKED)
        limits.spend("subscribe", ALL_ASKED)
        subscribers.subscribe(address, to=page.title)
    except PortalError as refused:
        return _page(request, "ask", refused, address=address)
    return _page(request, "sent")


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_page(request: HttpRequest, token: str) -> HttpResponse:
    """Where the first mail leads."""
    return _by_link(request, token, "confirm", subscribers.confirm)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def end_page(request: HttpRequest, token: str) -> HttpResponse:
    """Where every mail leads that had enough of them."""
    return _by_link(request, token, "end", subscribers.unsubscribe)


def _by_link(request: HttpRequest, token: str, step: str, done: Callable[[str], bool]) -> HttpResponse:
    if request.method != "POST":
        return _page(request, step)
    try:
        worked = done(token)
    except PortalError as refused:
        return _page(request, step, refused)
    return _page(request, f"{step}ed" if worked else "gone", status=200 if worked else 404)


def _page(
    request: HttpRequest, step: str, refused: PortalError | None = None, *, address: str = "", status: int = 200
) -> HttpResponse:
    context = {"nav": "incidents", "page": page_settings(), "step": step, "refused": refused, "address": address}
    status = refused.http_status if refused else status
    return uncached(render(request, "dashboard/subscription.html", context, status=status))
