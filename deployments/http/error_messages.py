"""A refusal on a page: what happened, what to do, and the id that leads to its entry in the documentation."""

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from engine.errors import PortalError, error_id


def entry_address(reason: str) -> str:
    """Where the entry of an error is, in the documentation of this very version."""
    return f"/docs/troubleshooting/#{error_id(reason)}"


def entry(error: PortalError) -> SafeString:
    """The id of an error, as a link to its entry."""
    return format_html('<a class="entry" href="{}">{}</a>', entry_address(error.reason), error.id)


def show_error(request: HttpRequest, error: PortalError, about: str = "") -> None:
    """Show it on the next page; `about` names whom it concerns, where several were tried."""
    messages.error(request, format_html("{}{} {}", f"{about}: " if about else "", str(error), entry(error)))
