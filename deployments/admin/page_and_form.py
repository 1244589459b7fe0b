"""An object that has a page to read and, behind it, a form to change it."""

from typing import Any, ClassVar, TypeVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import change_url

M = TypeVar("M", bound=Model)

_ON_THE_PAGE: dict[str, Any] = {"portal_actions": (), "audit_all": ""}


class PageAndForm(PortalAdmin[M]):
    """The object's address shows how it stands; its form is at `settings/`, and what is sent to either goes there."""

    page_template: ClassVar[str]

    def page(self, request: HttpRequest, obj: M, actions: list[dict[str, Any]]) -> dict[str, Any]:
        """What the page's template shows, of each kind its own; `actions` are those that this person is offered."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """With the form, behind the page."""
        view, name = self.admin_site.admin_view(self.settings_view), self._form_name()
        return [path("<path:object_id>/settings/", view, name=name), *super().get_urls()]

    def settings_url(self, obj: M) -> str:
        """Where the form is."""
        return reverse(f"admin:{self._form_name()}", args=[obj.pk])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page; what is sent to its address goes to the form."""
        obj = self.get_object(request, object_id)
        if request.method != "GET" or obj is None or not self.has_view_permission(request, obj):
            return self.settings_view(request, object_id)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": obj,
            "title": str(obj),
            "subtitle": None,
            "settings_url": self.settings_url(obj) if self.has_change_permission(request, obj) else "",
            **self.events_for(obj),
            **self.page(request, obj, self.actions_for(request, obj)),
        }
        return TemplateResponse(request, self.page_template, context)

    def settings_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form of what the service takes, and nothing that the page has already."""
        obj = self.get_object(request, object_id)
        more = {"subtitle": f"Settings of {obj}"} | _ON_THE_PAGE | (extra_context or {})
        return super().change_view(request, object_id, extra_context=more if obj else None)

    def response_post_save_change(self, request: HttpRequest, obj: M) -> HttpResponseRedirect:
        """Back to the page."""
        return HttpResponseRedirect(change_url(obj))

    def _form_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_settings"
