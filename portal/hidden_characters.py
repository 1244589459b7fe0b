"""Pages show what hides in other people's texts: marks where it stands, and a warning above them."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import format_html

from deployments.core.hidden_characters import WARNING, visible

_KEPT = r"<textarea\b.*?</textarea>|<script\b.*?</script>|<style\b.*?</style>|<(?:input|option|a)\b[^>]*>"
_PIECES = re.compile(f"({_KEPT})", re.DOTALL | re.IGNORECASE)
"""What is left as it is: a form would store the marks, and a link would lead elsewhere."""
_BEGINNING = re.compile(r"<main\b[^>]*>|<body\b[^>]*>", re.IGNORECASE)


class HiddenCharacters:
    """The one place for all pages, so that none forgets: texts of ours have no such character."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, HttpResponse) and response.get("Content-Type", "").startswith("text/html"):
            page = response.content.decode(response.charset)
            if (marked := marked_page(page)) != page:
                response.content = marked.encode(response.charset)
                response["Content-Length"] = str(len(response.content))
        return response


def marked_page(page: str) -> str:
    """A page, or a part of one, with marks and the warning; the same text when nothing hides in it."""
    if visible(page) == page:
        return page
    pieces = _PIECES.split(page)
    marked = "".join(piece if index % 2 else visible(piece) for index, piece in enumerate(pieces))
    note = format_html('<p class="notice cy-notice" role="note"><strong>Look closely.</strong> {}</p>', WARNING)
    beginnings = list(_BEGINNING.finditer(marked))
    end = max((each.end() for each in beginnings), default=0)
    return marked[:end] + note + marked[end:]
