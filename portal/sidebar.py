"""What the admin's sidebar holds."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse, reverse_lazy

from deployments.core import selectors
from deployments.notifications import messages

_GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    # title, (title, icon, model)
    (
        "Deployments",
        (
            ("Deployments", "rocket_launch", "deployments.deployment"),
            ("Environments", "layers", "deployments.environment"),
            ("Servers", "dns", "deployments.server"),
            ("Releases", "inventory_2", "deployments.release"),
        ),
    ),
    (
        "Governance",
        (
            ("Audit trail", "history_edu", "deployments.auditevent"),
            ("Policy changes", "policy", "deployments.policychange"),
            ("People", "group", "auth.user"),
            ("API tokens", "key", "deployments.apitoken"),
            ("Signing keys", "signature", "deployments.signingkey"),
            ("Workflows", "conversion_path", "deployments.workflowbinding"),
        ),
    ),
    (
        "Messages",
        (
            ("Channels", "campaign", "deployments.notificationchannel"),
            ("Deliveries", "outgoing_mail", "deployments.notificationdelivery"),
        ),
    ),
    (
        "Machinery",
        (
            ("Status page's settings", "tune", "dashboard.statuspage"),
            ("Queue", "pending_actions", "django_q.ormq"),
            ("Finished tasks", "task_alt", "django_q.success"),
            ("Failed tasks", "error", "django_q.failure"),
            ("Schedules", "schedule", "django_q.schedule"),
            ("Locked-out sign-ins", "lock_person", "axes.accessattempt"),
        ),
    ),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: what is registered and what this person may see."""
    waiting = selectors.waiting_requests().count()
    undelivered = messages.undelivered()
    drifted = len(selectors.drifted_servers())
    first = [
        {"title": "Overview", "icon": "space_dashboard", "link": reverse_lazy("admin:index")},
        {"title": "Status page", "icon": "monitor_heart", "link": reverse_lazy("status"), "active": False},
        {"title": "Alerts", "icon": "notifications_active", "link": reverse_lazy("alerts"), "active": False},
    ]
    groups: list[dict[str, Any]] = [{"title": "Control room", "items": first}]
    for title, entries in _GROUPS:
        items = list(_items(request, entries))
        if waiting and title == "Deployments" and items:
            items[0] |= {"badge": f"{waiting} waiting", "badge_variant": "warning"}
        if undelivered and title == "Messages" and items:
            items[-1] |= {"badge": f"{undelivered} not delivered", "badge_variant": "warning"}
        if drifted and (servers := next((item for item in items if item["title"] == "Servers"), None)):
            servers |= {"badge": f"{drifted} differ{'s' * (drifted == 1)}", "badge_variant": "warning"}
        groups.append({"title": title, "items": items})
    return groups


def _items(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> Iterator[dict[str, Any]]:
    registered = {model._meta.label_lower: site for model, site in admin.site._registry.items()}
    for title, icon, label in entries:
        found = registered.get(label)
        if found is not None and found.has_module_permission(request):
            link = reverse(f"admin:{label.replace('.', '_')}_changelist")
            yield {"title": title, "icon": icon, "link": link}
