"""Numbers and times as people write them."""

from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from deployments.templatetags.ops import age, duration

register = template.Library()
register.filter("duration", duration)


@register.filter
def rate(part: float) -> str:
    """A small share: 0 %, 0.4 %, 12 %."""
    if part == 0:
        return "0 %"
    return f"{part * 100:.1f} %" if part < 0.1 else f"{part * 100:.0f} %"


@register.filter
def fact(value: object) -> str:
    """What a step found, as people write it: yes, no, none, lists and tables in a line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", [], {}):
        return "none"
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    if isinstance(value, list):
        return ", ".join(fact(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{spaced(name)}: {fact(item)}" for name, item in value.items() if name != "sha256")
    return str(value)


@register.filter
def spaced(name: object) -> str:
    """`received_bytes` → `received bytes`."""
    return str(name).replace("_", " ")


@register.simple_tag(takes_context=True)
def lasting(context: template.Context, since: datetime) -> SafeString:
    """How long it has been so since then: 3 d, 4 min."""
    span = max(timedelta(), (context.get("now") or timezone.now()) - since)
    stamp = since.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="since {}">{}</time>',
        stamp.isoformat(),
        stamp.strftime("%-d %b %Y %H:%M:%S UTC"),
        age(span),
    )


@register.simple_tag(takes_context=True)
def ago(context: template.Context, at: datetime | None) -> SafeString | str:
    """`at` as a <time> that says how long ago, and of the last minute just that; the page's script says seconds."""
    if at is None:
        return "never"
    now = context.get("now") or timezone.now()
    span = max(timedelta(), now - at)
    text = "just now" if span < timedelta(minutes=1) else f"{age(span)} ago"
    stamp = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        stamp.isoformat(),
        stamp.strftime("%-d %b %Y %H:%M:%S UTC"),
        text,
    )
