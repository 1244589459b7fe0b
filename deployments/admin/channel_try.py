"""A test of a channel as it is typed, before anything of it is stored."""

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse

from deployments.admin.actors import actor_of
from deployments.http.error_messages import entry
from deployments.models import NotificationChannel
from deployments.notifications.channels import FIELDS, try_channel
from engine.errors import PortalError

if TYPE_CHECKING:
    from deployments.admin.base import PortalAdmin


def try_view(admin: "PortalAdmin[NotificationChannel]", request: HttpRequest) -> HttpResponse:
    """Send a test message to what is typed, and say what became of it: beside the form, or on a page of its own."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    given = request.GET.get("channel", "")
    channel = admin.get_object(request, given) if given else None
    if not admin.has_change_permission(request, channel):
        raise PermissionDenied("A channel is tested by administrators.")
    form = admin.get_form(request, channel, change=channel is not None)(request.POST, instance=channel)
    status, known = 200, None
    wrong: list[str] = []
    if not form.is_valid():
        status = 422
        wrong = [_told(form, name, " ".join(map(str, told))) for name, told in form.errors.items()]
    else:
        values = {name: form.cleaned_data[name] for name in FIELDS if name in form.cleaned_data}
        stored = NotificationChannel.objects.get(pk=channel.pk) if channel else None
        try:
            refused = try_channel(actor=actor_of(request), channel=stored, values=values)
            status, wrong = (502, [refused]) if refused else (200, [])
        except PortalError as error:
            status, wrong, known = error.http_status, [str(error)], entry(error)
    beside = request.headers.get("HX-Request") == "true"
    context = {"wrong": wrong, "entry": known, "sent": status in (200, 502)}
    if beside:  # htmx shows no answer that is a refusal
        return TemplateResponse(request, "deployments/admin/channel_tried.html", context)
    page = {**admin.admin_site.each_context(request), "opts": admin.opts, "title": "Test of a channel", **context}
    return TemplateResponse(request, "deployments/admin/channel_tried_page.html", page, status=status)


def _told(form: BaseForm, name: str, words: str) -> str:
    return f"{form.fields[name].label}: {words}" if name in form.fields else words
