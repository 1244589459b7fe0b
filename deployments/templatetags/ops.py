"""What the control room's templates need beyond Django's filters."""

import re
from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from deployments.core import read_only, selectors
from deployments.core.actors import in_words
from deployments.core.texts import spoken
from deployments.http.error_messages import entry
from deployments.models import Deployment

register = template.Library()
register.filter("entry", entry)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def age(span: timedelta) -> str:
    """3 d, 4 h, 12 min, 5 s: one form of it on every page."""
    seconds = span.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


@register.filter
def duration(seconds: float | None) -> str:
    """3 d 4 h, 12 min 5 s, 4.2 s; empty for None."""
    return "" if seconds is None else spoken(seconds)


@register.simple_tag
def unreviewed_break_glass() -> list[Deployment]:
    """Uses of break-glass that no second person has reviewed: every page that members see shows them."""
    return list(selectors.unreviewed_break_glass())


@register.simple_tag
def not_in_charge() -> str:
    """Why nothing can be changed on this portal; empty while it is in charge."""
    return str(read_only.read_only_reason() or "")


@register.filter
def who(actor: str) -> str:
    """Who did it, as a person reads it."""
    return in_words(str(actor))


@register.filter
def version(release: object) -> SafeString | str:
    """A release as people name it, by its version, which an application has once; its whole name in the tooltip.

    Takes a Release or its identifier (`0.3.0-e10340088dc2`).
    """
    whole = str(release)
    short = whole.rpartition("-")[0]
    return format_html('<span title="{}">{}</span>', whole, short) if short else whole


@register.filter
def column_titles(rows: SafeString) -> SafeString:
    """The rows of a list as a phone shows them: before each value what heads its column, which models call `name`."""
    return mark_safe(re.sub(r'data-label="[a-z]', lambda found: found[0][:-1] + found[0][-1].upper(), rows))  # noqa: S308  (a page's own)


@register.filter
def ago(at: datetime | None) -> SafeString | str:
    """How long ago, with the exact time (UTC) in the tooltip and for machines."""
    if at is None:
        return "–"
    now = timezone.now()
    if abs(now - at) < timedelta(minutes=1):
        words = "just now"
    else:
        words = f"{age(now - at)} ago" if at <= now else f"in {age(at - now)}"
    exact = f"{at:%-d %b %Y %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)
