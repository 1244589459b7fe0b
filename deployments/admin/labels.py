"""Statuses and times as the lists show them."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from deployments.templatetags.ops import ago as moment
from deployments.templatetags.ops import duration

__all__ = ["code", "moment", "seconds", "status"]


def status(value: str, words: str) -> SafeString:
    """A status as a coloured word; the colour says nothing that the word does not."""
    return format_html('<span class="cy-status cy-{}">{}</span>', value, words)


def seconds(value: float | None) -> str:
    """`3.2 s`, `12 h`; a dash for what is not known."""
    return duration(value) or "–"


def code(text: str, *, length: int = 12) -> SafeString | str:
    """A digest, cut, with the whole in the tooltip."""
    return format_html('<code title="{}">{}</code>', text, text[:length]) if text else "–"
