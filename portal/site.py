"""The admin site: whoever has a role may enter it, and its first page is the overview."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from unfold.sites import UnfoldAdminSite

from dashboard.selectors.bots import bots_of
from dashboard.selectors.first_run import first_steps, in_use
from dashboard.templatetags.shell import icon_of
from dashboard.views.navigation_counts import shell_of
from deployments.access.policy import roles_of
from deployments.core import read_only, selectors
from deployments.http.members import signed_in


class PortalAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # published without types
    """Unfold's site with our door, our overview, and nothing inline: its pages need no inline style or script."""

    index_template = "deployments/admin/overview.html"
    index_title = "Overview"
    enable_nav_sidebar = False  # the bar on top of every page holds every page

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the person has any role; what they may do there is decided by the services."""
        return request.user.is_authenticated and bool(roles_of(request.user))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page shows: also uses of break-glass without a review, and whether another portal is in charge."""
        context: dict[str, Any] = super().each_context(request)
        context["colors"] = {}  # they are in theme.css: an inline style would need an exception from the CSP
        context["unreviewed"] = list(selectors.unreviewed_break_glass()) if self.has_permission(request) else []
        context["elsewhere"] = str(read_only.read_only_reason() or "")
        if frame := shell_of(request):
            href = static(icon_of(frame.situation.mood))
            context["site_favicons"] = [{"rel": "icon", "type": "image/svg+xml", "href": href}]
        return context

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The overview of the control room."""
        # imported when it is asked for: the admin package registers itself on this very site
        overview = import_string("deployments.admin.overview.overview")(request)
        now = timezone.now()
        health = bots_of({card.environment.pk for card in overview["cards"]}, now)
        overview["cards"] = [(card, health.get(card.environment.pk, [])) for card in overview["cards"]]
        if frame := shell_of(request):
            overview |= {"situation": frame.situation, "now": now}
            overview["first"] = None if in_use() else first_steps(signed_in(request))
        response: HttpResponse = super().index(request, {**overview, **(extra_context or {})})
        return response

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The overview: how Django groups tables by the package that brought them says nothing to anybody here."""
        return HttpResponseRedirect(reverse("admin:index"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One's own password, through the service that records it."""
        view = import_string("deployments.admin.own_password.view")
        response: HttpResponse = view(self, request, extra_context or {})
        return response

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The ways in, and one's own account, beside Django's pages."""
        own = [
            path("login/passkey/", self._door("by_passkey"), name="by_passkey"),
            path("login/second/", self._door("second_step"), name="second_step"),
            path("login/sign-on/", self._door("away", "single_sign_on"), name="sign_on"),
            path("login/sign-on/return/", self._door("back", "single_sign_on"), name="sign_on_return"),
            path("account/", self.admin_view(self.account), name="account"),
            path("account/app/", self._own_page("app_page"), name="authenticator_app"),
            path("account/codes/", self._own_page("codes_page"), name="recovery_codes"),
        ]
        urls: list[URLPattern | URLResolver] = super().get_urls()
        return [*own, *urls]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Name and password, and the way to the others."""
        return self._door("first_step")(request)

    def _door(self, name: str, module: str = "sign_in") -> Callable[[HttpRequest], HttpResponse]:
        """A page for people who are not signed in."""

        @csrf_protect
        @never_cache
        def shown(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = import_string(f"deployments.admin.{module}.{name}")(self, request)
            return response

        return shown

    def _own_page(self, name: str) -> Callable[..., HttpResponse]:
        """A page of one's own account."""

        def shown(request: HttpRequest) -> HttpResponse:
            response: HttpResponse = import_string(f"deployments.admin.second_factors.{name}")(self, request)
            return response

        view: Callable[..., HttpResponse] = self.admin_view(shown)
        return view

    def account(self, request: HttpRequest) -> HttpResponse:
        """What is linked to one's account, through the services that record it."""
        response: HttpResponse = import_string("deployments.admin.account.view")(self, request, {})
        return response
