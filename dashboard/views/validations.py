"""`/validations/`: the windows in which environments were measured, with live progress."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard.models import Validation
from dashboard.selectors.status import page_settings
from dashboard.validation import running
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.http.error_messages import show_error
from deployments.http.members import members_only, signed_in
from engine.errors import InvalidRequest, PortalError


@require_safe
@members_only
def validations_page(request: HttpRequest) -> HttpResponse:
    """All of them, the latest first, and a form to start one."""
    return _page(request)


def _page(request: HttpRequest, refused: PortalError | None = None) -> HttpResponse:
    actor = signed_in(request)
    rows = Validation.objects.select_related("environment").defer("html", "markdown")[:50]
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "now": timezone.now(),
        "rows": [(row, _may_stop(actor, row)) for row in rows],
        "environments": [row for row in running.startable() if may(actor, Verb.VERIFY, row)],
        "longest": running.LONGEST_HOURS,
        "refused": refused,
        "sent": request.POST,
    }
    return render(request, "dashboard/validations.html", context, status=refused.http_status if refused else 200)


def _may_stop(actor: Actor, row: Validation) -> bool:
    return row.ended_at is None and may(actor, Verb.VERIFY, row.environment)


@require_safe
@members_only
def validation_page(request: HttpRequest, number: int) -> HttpResponse:
    """How one stands, limit by limit; read again every few seconds while it runs."""
    row = _numbered(number)
    now = timezone.now()
    _, limits, _ = running.measured(row, now)
    gone = min(1.0, ((row.ended_at or now) - row.started_at).total_seconds() / row.seconds)
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "now": now,
        "row": row,
        "limits": limits,
        "short": running.warning(row) if row.ended_at is None else "",
        "gone": gone * 100,
        "may_stop": _may_stop(signed_in(request), row),
    }
    response = render(request, "dashboard/validation.html", context)
    if row.ended_at is None:
        response["Refresh"] = "10"
    return response


@require_safe
@members_only
def validation_report(request: HttpRequest, number: int) -> HttpResponse:
    """The Markdown report, whose digest the audit trail has."""
    row = Validation.objects.filter(pk=number).exclude(ended_at=None).first()
    if row is None:
        raise Http404
    return HttpResponse(row.markdown, content_type="text/markdown; charset=utf-8")


@require_POST
@members_only
def start_validation(request: HttpRequest) -> HttpResponse:
    """Start one, and go to its page."""
    try:
        environment = selectors.environment_named(request.POST.get("environment", ""))
        try:
            hours = float(request.POST.get("hours", "24"))
        except ValueError as error:
            raise InvalidRequest("The hours are no number.") from error
        row = running.start(actor=signed_in(request), environment=environment, hours=hours)
    except PortalError as error:
        return _page(request, error)
    return redirect("validation", number=row.pk)


@require_POST
@members_only
def stop_validation(request: HttpRequest, number: int) -> HttpResponse:
    """End one now, and back to its page."""
    row = _numbered(number)
    try:
        running.stop(actor=signed_in(request), validation=row)
    except PortalError as error:
        show_error(request, error)
    return redirect("validation", number=row.pk)


def _numbered(number: int) -> Validation:
    row = Validation.objects.select_related("environment").filter(pk=number).first()
    if row is None:
        raise Http404("There is no such validation.")
    return row
