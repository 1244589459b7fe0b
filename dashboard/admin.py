"""The status page's settings in the control room."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from dashboard.models import StatusPage
from dashboard.selectors.status import page_settings
from dashboard.services.statuspage import EDITABLE, SUBJECT, configure_status_page
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.forms import ModelForm


@admin.register(StatusPage)
class StatusPageAdmin(PortalAdmin[StatusPage]):
    """One row, which need not exist: the list is its page."""

    change_verb = Verb.CONFIGURE
    fieldsets = (
        (None, {"fields": EDITABLE[:2]}),
        ("What people who are not signed in see", {"fields": EDITABLE[2:]}),
    )

    def audit_subject(self, obj: StatusPage) -> str:
        """`status_page`."""
        return SUBJECT

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> StatusPage | None:
        """The row, or its defaults while nobody has chosen anything."""
        return page_settings() if object_id == "1" else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Straight to the one page."""
        return HttpResponseRedirect(reverse("admin:dashboard_statuspage_change", args=[1]))

    def save_model(self, request: HttpRequest, obj: StatusPage, form: ModelForm[StatusPage], change: bool) -> None:
        """Through the service."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            configure_status_page(actor=actor_of(request), changes=changed)
