"""What the frame of every page needs."""

from typing import Any

from django import template

from dashboard.views import navigation
from dashboard.views.navigation_counts import Shell, shell_of

register = template.Library()


@register.simple_tag(takes_context=True)
def shell(context: template.Context) -> Shell | None:
    """What a member's page carries; None for strangers, and where a template is drawn without a request."""
    request = context.get("request")
    return shell_of(request) if request is not None else None


@register.simple_tag(takes_context=True)
def menu(context: template.Context) -> list[navigation.Group]:
    """The control room's pages that this person may see."""
    request = context.get("request")
    return navigation.menu(request) if request is not None else []


@register.filter
def list_title(opts: Any) -> str:
    """What the menu calls a model's list."""
    return navigation.title_of(opts.model)


@register.filter
def icon_of(mood: str) -> str:
    """The file of the icon that tells a mood."""
    return f"dashboard/icon-{mood}.svg" if mood in {"wary", "alarmed", "running"} else "dashboard/icon.svg"
