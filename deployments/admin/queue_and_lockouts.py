"""The task queue and locked-out sign-ins: third-party tables, looked at in the portal's clothes."""

from collections.abc import Sequence
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib import admin
from django.db.models import Model

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.core.actors import Actor
from deployments.people.accounts import clear_lock_out

# only deployments.core.queueing imports django-q2
OrmQ, Success, Failure, Schedule = (
    apps.get_model("django_q", name) for name in ("OrmQ", "Success", "Failure", "Schedule")
)
for _model in (Failure, OrmQ, Schedule, Success, AccessAttempt, AccessFailureLog, AccessLog):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


class ForeignTableAdmin(PortalAdmin[Model]):
    """Read-only: what these rows do is decided by the services that write them. They serve those who run the portal."""

    view_verb = Verb.CONFIGURE


@admin.register(OrmQ)
class QueueAdmin(ForeignTableAdmin):
    """Tasks that no worker has finished."""

    list_display = ("id", "key", "task_id", "name", "func", "lock")
    list_filter = ("key",)
    fields = ("key", "task_id", "name", "func", "lock")
    readonly_fields = ("task_id", "name", "func")


class FinishedAdmin(ForeignTableAdmin):
    """Tasks that have ended."""

    list_display = ("name", "func", "cluster", "started", "stopped", "time_taken")
    list_filter = ("func", "cluster")
    search_fields = ("name", "func")
    fields = (("name", "func"), "cluster", ("started", "stopped"), "args", "result", "attempt_count")


@admin.register(Success)
class SuccessAdmin(FinishedAdmin):
    """Those that went well."""


@admin.register(Failure)
class FailureAdmin(FinishedAdmin):
    """Those that did not."""


@admin.register(Schedule)
class ScheduleAdmin(ForeignTableAdmin):
    """What runs by the clock."""

    list_display = ("name", "func", "cluster", "minutes", "next_run")
    fields = (("name", "func"), ("cluster", "schedule_type", "minutes"), ("next_run", "repeats"))


class LetIn(Confirmation[AccessAttempt]):
    """Before the time is over."""

    slug = "let-in"
    label = "Let in again"
    icon = "lock_open"
    verb = Verb.MANAGE_PEOPLE
    bulk = True

    def title(self, obj: AccessAttempt) -> str:
        """Who."""
        return f"Let {obj.username} in again"

    def consequences(self, obj: AccessAttempt) -> Sequence[str]:
        """What happens."""
        return [f"Failed sign-ins of {obj.username} from {obj.ip_address} are forgotten; the next try is allowed."]

    def perform(self, *, actor: Actor, obj: AccessAttempt, data: dict[str, Any]) -> str:
        """Forget them."""
        clear_lock_out(actor=actor, username=obj.username or "")
        return f"{obj.username} can try again."


@admin.register(AccessAttempt)
class LockOutAdmin(PortalAdmin[AccessAttempt]):
    """Failed sign-ins that count towards a lock-out."""

    view_verb = Verb.MANAGE_PEOPLE
    confirmations = (LetIn(),)
    list_display = ("username", "ip_address", "failures_since_start", "when")
    search_fields = ("username", "ip_address")
    fields = (("username", "ip_address"), "user_agent", "failures_since_start", "attempt_time")

    @admin.display(description="Last try", ordering="attempt_time")
    def when(self, obj: AccessAttempt) -> str:
        """How long ago."""
        return labels.moment(obj.attempt_time)
