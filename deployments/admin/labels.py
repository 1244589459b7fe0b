"""Statuses and times as the lists show them."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from deployments.templatetags.ops import ago, duration

__all__ = ["NONE", "code", "moment", "pills", "seconds", "status", "tag"]

NONE = mark_safe('<span class="cy-none">–</span>')
"""What is not there; a phone leaves it out."""


def moment(value: datetime | None) -> SafeString | str:
    """How long ago, with the moment itself in the tooltip."""
    return ago(value) if value else NONE


def status(value: str, words: str) -> SafeString:
    """A status as a coloured word; the colour says nothing that the word does not."""
    return format_html('<span class="cy-status cy-{}">{}</span>', value, words)


def tag(words: str) -> SafeString:
    """A word of a few, without a colour."""
    return format_html('<span class="cy-tag">{}</span>', words)


def pills(words: Iterable[SafeString | str]) -> SafeString:
    """Several of them beside each other, which break between and not within."""
    return format_html('<span class="cy-pills">{}</span>', format_html_join(" ", "{}", ((word,) for word in words)))


def seconds(value: float | None) -> SafeString | str:
    """`3.2 s`, `12 h`; a dash for what is not known."""
    return duration(value) or NONE


def code(text: str, *, length: int = 12) -> SafeString | str:
    """A digest, cut, with the whole in the tooltip."""
    return format_html('<code title="{}">{}</code>', text, text[:length]) if text else NONE
