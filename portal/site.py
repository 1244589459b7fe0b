"""The admin site: whoever has a role may enter it, and its first page is the overview."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.module_loading import import_string
from unfold.sites import UnfoldAdminSite

from deployments.access.policy import roles_of
from deployments.core import read_only, selectors


class PortalAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # published without types
    """Unfold's site with our door, our overview, and nothing inline: its pages need no inline style or script."""

    index_template = "deployments/admin/overview.html"
    index_title = "Overview"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the person has any role; what they may do there is decided by the services."""
        return request.user.is_authenticated and bool(roles_of(request.user))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page shows: also uses of break-glass without a review, and whether another portal is in charge."""
        context: dict[str, Any] = super().each_context(request)
        context["colors"] = {}  # they are in theme.css: an inline style would need an exception from the CSP
        context["unreviewed"] = list(selectors.unreviewed_break_glass()) if self.has_permission(request) else []
        context["elsewhere"] = str(read_only.read_only_reason() or "")
        return context

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The overview of the control room."""
        # imported when it is asked for: the admin package registers itself on this very site
        overview = import_string("deployments.admin.overview.overview")(request)
        response: HttpResponse = super().index(request, {**overview, **(extra_context or {})})
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One's own password, through the service that records it."""
        view = import_string("deployments.admin.own_password.view")
        response: HttpResponse = view(self, request, extra_context or {})
        return response

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """One's own account beside Django's pages."""
        own = [path("account/", self.admin_view(self.account), name="account")]
        urls: list[URLPattern | URLResolver] = super().get_urls()
        return [*own, *urls]

    def account(self, request: HttpRequest) -> HttpResponse:
        """What is linked to one's account, through the services that record it."""
        response: HttpResponse = import_string("deployments.admin.account.view")(self, request, {})
        return response
