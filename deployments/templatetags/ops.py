"""What the control room's templates need beyond Django's filters."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from deployments.core import read_only, selectors
from deployments.models import Deployment

register = template.Library()


@register.simple_tag
def unreviewed_break_glass() -> list[Deployment]:
    """Uses of break-glass that no second person has reviewed: every page that members see shows them."""
    return list(selectors.unreviewed_break_glass())


@register.simple_tag
def not_in_charge() -> str:
    """Why nothing can be changed on this portal; empty while it is in charge."""
    return str(read_only.read_only_reason() or "")


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """How long ago, with the exact time (UTC) in the tooltip and for machines."""
    if at is None:
        return "–"
    now = timezone.now()
    if abs(now - at) < timedelta(minutes=1):
        words = "just now"
    else:
        words = f"{timesince(at, now, depth=1)} ago" if at <= now else f"in {timesince(now, at, depth=1)}"
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)
