"""What the page of an alert shows beside the alert."""

import re
from dataclasses import replace
from typing import Any

from django import template
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from alerting.models import Alert
from dashboard.selectors.alert_context import AlertContext, alert_context
from dashboard.selectors.series import RANGES, Range
from deployments.http.members import signed_in
from deployments.models import Environment, Server

register = template.Library()
_COMMAND = re.compile(r"<code>\./manage\.py ([a-z_]+) [^<]*</code>")
_SLUGS = {"rollback": "roll-back", "provision": "provision", "drift": "drift"} | {
    verb: verb for verb in ("start", "stop", "restart", "verify", "lock", "unlock")
}
"""What a command is called among the actions of a server or an environment."""


@register.simple_tag(takes_context=True)
def surroundings(context: template.Context, alert: Alert) -> AlertContext:
    """What was measured and deployed around it, its runbook, and what this person may do."""
    request = context["request"]
    now = context.get("now") or timezone.now()
    found = alert_context(alert, now, actor=signed_in(request), chosen=request.GET.get("range", ""))
    return replace(found, runbook=_with_buttons(request, found.runbook, alert)) if found.runbook else found


def _with_buttons(request: HttpRequest, runbook: SafeString, alert: Alert) -> SafeString:
    """The runbook; behind a command that the portal can run here and now, and this person may, the way to it."""
    wanted = {_SLUGS[verb] for verb in _COMMAND.findall(runbook) if verb in _SLUGS}
    actions: dict[str, SafeString] = {}
    for obj in (alert.server, alert.environment) if wanted else ():
        if isinstance(obj, Environment | Server):
            room: Any = admin.site.get_model_admin(type(obj))  # a PortalAdmin, which loads templates as it is imported
            actions |= {one["slug"]: _button(one["url"], one["label"], obj) for one in room.actions_for(request, obj)}
    text = _COMMAND.sub(lambda code: code[0] + actions.get(_SLUGS.get(code[1], ""), ""), runbook)
    return mark_safe(text)  # noqa: S308  (a file of this release, and what `format_html` made)


def _button(url: str, label: str, obj: Environment | Server) -> SafeString:
    return format_html(' <a class="button quiet" href="{}">{}<span class="sr"> {}</span></a>', url, label, obj)


@register.simple_tag
def chart_ranges() -> list[Range]:
    """The lengths of time that charts can have."""
    return list(RANGES.values())
