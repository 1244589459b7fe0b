"""What a chart says of each stretch of its time: under the pointer, in words."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


def slots(said: Sequence[str]) -> SafeString:
    """A transparent column per stretch, each with its words as a tooltip. In one piece: a template needs far longer."""
    width = 100 / max(1, len(said))
    size = format_html('width="{}%"', f"{width:.3f}")
    return format_html_join(
        "",
        '<rect class="slot" x="{}%" y="0" {} height="95"><title>{}</title></rect>',
        ((f"{width * index:.3f}", size, words) for index, words in enumerate(said)),
    )
