"""What the page of an alert shows beside the alert."""

from django import template
from django.utils import timezone

from alerting.models import Alert
from dashboard.selectors.alert_context import AlertContext, alert_context
from dashboard.selectors.series import RANGES, Range
from deployments.http.members import signed_in

register = template.Library()


@register.simple_tag(takes_context=True)
def surroundings(context: template.Context, alert: Alert) -> AlertContext:
    """What was measured and deployed around it, its runbook, and what this person may do."""
    request = context["request"]
    now = context.get("now") or timezone.now()
    return alert_context(alert, now, actor=signed_in(request), chosen=request.GET.get("range", ""))


@register.simple_tag
def chart_ranges() -> list[Range]:
    """The lengths of time that charts can have."""
    return list(RANGES.values())
