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
from deployments.http.error_messages import show_error
from deployments.http.members import members_only, signed_in
from deployments.models import Environment
from engine.errors import InvalidRequest, PortalError


@require_safe
@members_only
def validations_page(request: HttpRequest) -> HttpResponse:
    """All of them, the latest first, and a form to start one."""
    actor = signed_in(request)
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "now": timezone.now(),
        "rows": Validation.objects.select_related("environment").defer("html", "markdown")[:50],
        "environments": [row for row in Environment.objects.all() if may(actor, Verb.VERIFY, row)],
    }
    return render(request, "dashboard/validations.html", context)


@require_safe
@members_only
def validation_page(request: HttpRequest, number: int) -> HttpResponse:
    """How one stands, limit by limit; read again every few seconds while it runs."""
    row = Validation.objects.select_related("environment").filter(pk=number).first()
    if row is None:
        raise Http404
    now = timezone.now()
    _, limits, _ = running.measured(row, now)
    gone = min(1.0, ((row.ended_at or now) - row.started_at).total_seconds() / row.seconds)
    context = {
        "nav": "readiness",
        "page": page_settings(),
        "now": now,
        "row": row,
        "limits": limits,
        "gone": gone * 100,
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
        show_error(request, error)
        return redirect("validations")
    return redirect("validation", number=row.pk)
