"""The control room's pages by group: the menu of the bar on every page, and the trail above a page of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from dashboard.views.navigation_counts import shell_of

SEVERAL = "Bulk actions on deployments"
"""What decides about many; the list that people read is the members' own, *Deployments*."""
_GROUPS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    # title, (title, icon, model)
    (
        "Deployments",
        (
            (SEVERAL, "rocket_launch", "deployments.deployment"),
            ("Environments", "layers", "deployments.environment"),
            ("Servers", "dns", "deployments.server"),
            ("Releases", "inventory_2", "deployments.release"),
            ("Operations", "restart_alt", "deployments.operation"),
            ("Pushes", "move_to_inbox", "deployments.push"),
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
            ("Push sources", "webhook", "deployments.pushsource"),
            ("Locked-out sign-ins", "lock_person", "axes.accessattempt"),
        ),
    ),
    (
        "Messages",
        (
            ("Channels", "campaign", "deployments.notificationchannel"),
            ("Deliveries", "outgoing_mail", "deployments.notificationdelivery"),
            ("Status page's settings", "tune", "dashboard.statuspage"),
        ),
    ),
    (
        "Machinery",
        (
            ("Workers", "engineering", "deployments.clusterbeat"),
            ("Queue", "pending_actions", "django_q.ormq"),
            ("Finished tasks", "task_alt", "django_q.success"),
            ("Failed tasks", "error", "django_q.failure"),
            ("Schedules", "schedule", "django_q.schedule"),
        ),
    ),
)
_MONITORING = (
    # title, icon, name of the page
    ("Maintenance", "build", "maintenance"),
    ("Silences", "notifications_off", "silences"),
    ("Validations", "fact_check", "validations"),
)


@dataclass(frozen=True)
class Entry:
    """One page of the menu; `note` says what waits there."""

    title: str
    icon: str
    link: str
    note: str = ""


@dataclass(frozen=True)
class Group:
    """Pages that belong together."""

    title: str
    entries: list[Entry]


def menu(request: HttpRequest) -> list[Group]:
    """What is registered and what this person may see."""
    groups = [Group(title, list(_entries(request, entries))) for title, entries in _GROUPS]
    groups.insert(1, Group("Monitoring", [Entry(title, icon, reverse(name)) for title, icon, name in _MONITORING]))
    return [group for group in groups if group.entries]


def title_of(model: type[Model]) -> str:
    """What the menu calls the list of a model."""
    for _, entries in _GROUPS:
        for title, _, label in entries:
            if label == model._meta.label_lower:
                return title
    return str(model._meta.verbose_name_plural).capitalize()


def _entries(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> Iterator[Entry]:
    registered = {model._meta.label_lower: site for model, site in admin.site._registry.items()}
    notes = _notes(request)
    for title, icon, label in entries:
        found = registered.get(label)
        if found is not None and found.has_module_permission(request):
            link = reverse(f"admin:{label.replace('.', '_')}_changelist")
            yield Entry(title, icon, link, notes.get(title, ""))


def _notes(request: HttpRequest) -> dict[str, str]:
    frame = shell_of(request)
    if frame is None:
        return {}
    counted = {
        SEVERAL: (frame.waiting, "waiting"),
        "Servers": (frame.drifted, "differs" if frame.drifted == 1 else "differ"),
        "Deliveries": (frame.undelivered, "not delivered"),
    }
    return {title: f"{count} {word}" for title, (count, word) in counted.items() if count}
