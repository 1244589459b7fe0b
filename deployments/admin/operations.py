"""What is done to a running service besides deploying: the buttons, and the record of each with its end."""

import shlex
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ChoiceField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.ending import EndProvisioning
from deployments.admin.forms import PageForm, ReasonForm, choice, text, word
from deployments.core.actors import Actor, in_words
from deployments.models import Operation, Server
from deployments.operations import one_off
from deployments.operations.data import Backup, backups_on, restore_data
from deployments.operations.requesting import operate
from deployments.operations.selectors import may_read_output, offered
from engine.errors import PortalError

STOP_POLLING = 286  # htmx: replaces the fragment and ends the polling


class WhyForm(PageForm):
    """A reason for whoever wants to give one."""

    reason = text("Reason", required=False, help_text="Kept in the audit trail.")


class Operate(Confirmation[Server]):
    """One operation on a server; its own page follows it."""

    kind: ClassVar[Operation.Kind]
    verb = Verb.OPERATE
    form_class: ClassVar[type[PageForm]] = WhyForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """Where it makes sense now."""
        return self.kind in offered(actor=actor, server=obj)

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> Made:
        """Ask for it."""
        row = operate(actor=actor, server=obj, kind=self.kind, reason=data["reason"])
        return Made(f"{row} is under way.", row)


class Restart(Operate):
    """Anew, as it is."""

    slug = "restart"
    label = "Restart"
    icon = "restart_alt"
    kind = Operation.Kind.RESTART

    def consequences(self, obj: Server) -> Sequence[str]:
        """What people will notice."""
        return [
            f"Every unit of {obj.current_release} on {obj} is restarted and then watched as after a deployment.",
            "The service is away for a moment: a bot leaves its room and comes back.",
            "What runs does not change. The alerts that a restart looks like are silenced meanwhile.",
        ]


class Stop(Operate):
    """Until somebody starts it."""

    slug = "stop"
    label = "Stop"
    icon = "stop_circle"
    tone = "bad"
    form_class = ReasonForm
    kind = Operation.Kind.STOP

    def consequences(self, obj: Server) -> Sequence[str]:
        """What ends, until when, and what is told of it."""
        return [
            f"Every unit of {obj.current_release} on {obj} is stopped: the service is away.",
            "It stays so until somebody starts it, a release is deployed, or the server boots.",
            "The pages say that you stopped it, and why.",
            "Its alerts are silenced for seven days, or until it runs again.",
        ]


class Start(Operate):
    """What was stopped runs again."""

    slug = "start"
    label = "Start"
    icon = "play_circle"
    tone = "good"
    kind = Operation.Kind.START

    def consequences(self, obj: Server) -> Sequence[str]:
        """What begins."""
        said = [f"{obj.stopped_words}"] if obj.stopped else []
        return [*said, f"What does not run of {obj.current_release} on {obj} is started, and all of it is watched."]


class CommandForm(PageForm):
    """Which command, as which service, and why."""

    command = word(
        "Command", max_length=4000, help_text="Words, with quotes where one has blanks; no shell reads them."
    )
    unit = choice("As", help_text="With the account, variables and secrets of this service.")
    reason = text("Reason", required=False, help_text="Kept in the audit trail.")

    def prepare(self) -> None:
        """The services of what is live there."""
        chosen = self.fields["unit"]
        if isinstance(self.subject, Server) and isinstance(chosen, ChoiceField) and self.subject.current_release_id:
            chosen.choices = [(name, name) for name in one_off.services_on(self.subject)]

    def clean_command(self) -> list[str]:
        """As a shell would split it."""
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError as error:
            raise ValidationError(f"A quote or a backslash has no end ({error}).") from None


class RunCommand(Confirmation[Server]):
    """Something that has to be done once."""

    slug = "run"
    label = "Run a command"
    icon = "terminal"
    verb = Verb.RUN
    form_class = CommandForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """Where something runs, and nobody else has to consent to what it does."""
        running = obj.current_release_id is not None and obj.state == Server.State.PROVISIONED
        return running and one_off.takes_commands(obj)

    def consequences(self, obj: Server) -> Sequence[str]:
        """As whom, where, how long, and what is kept of it."""
        return [
            f"It runs on {obj} in the directory of {obj.current_release}, as the application's account.",
            f"After {one_off.SECONDS:g} s it is ended. The services go on beside it.",
            "Command, output and exit code are kept; values of secrets are masked, and refused in the command.",
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> Made:
        """Ask for it."""
        wanted = one_off.OneOffCommand(data["command"], data["unit"])
        row = one_off.run_command(actor=actor, server=obj, wanted=wanted, reason=data["reason"])
        return Made(f"{row} is under way.", row)


class BackupForm(PageForm):
    """Which backup, and why."""

    backup = choice("Backup", help_text="Made before an activation, or before the last restore.")
    reason = text("Reason", help_text="Kept in the audit trail.")

    def prepare(self) -> None:
        """Ask the server what lies there."""
        found: list[Backup] = []
        if isinstance(self.subject, Server) and self.actor is not None:
            try:
                found = backups_on(actor=self.actor, server=self.subject)
            except PortalError as error:
                self.fields["backup"].help_text = str(error)
        chosen = self.fields["backup"]
        if isinstance(chosen, ChoiceField):
            whole = [one for one in found if one.whole]
            chosen.choices = [
                (one.name, f"{one.name}: {', '.join(one.databases)}, {one.size / 1e6:.1f} MB") for one in whole
            ]


class Restore(Confirmation[Server]):
    """What the application had written before."""

    slug = "restore-data"
    label = "Restore data"
    icon = "settings_backup_restore"
    tone = "bad"
    verb = Verb.RESTORE_DATA
    form_class = BackupForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """Where something runs."""
        return obj.current_release_id is not None and obj.state != Server.State.RETIRED

    def consequences(self, obj: Server) -> Sequence[str]:
        """What is lost, and what is not."""
        return [
            f"Every unit of {obj.current_release} on {obj} is stopped.",
            "What it has written since the backup is gone.",
            "What is there now is kept as a backup of its own, from which it can be restored the same way.",
            "The units are started and watched; where they do not run with it, what was there before is put back.",
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> Made:
        """Ask for it."""
        row = restore_data(actor=actor, server=obj, backup=data["backup"], reason=data["reason"])
        return Made(f"{row} is under way.", row)


@admin.register(Operation)
class OperationAdmin(PortalAdmin[Operation]):
    """The list, and the page that follows one."""

    confirmations = (EndProvisioning(),)
    change_form_template = "deployments/admin/operation.html"
    list_display = ("shown", "server", "shown_state", "asker", "asked", "took")
    list_filter = ("kind", "state", "server__environment")
    search_fields = ("=id", "server__name", "requested_by", "reason", "sentence")
    list_select_related = ("server",)
    fields = ()

    def audit_subject(self, obj: Operation) -> str:
        """`server:prod-1`: what happened to the server stands together."""
        return f"server:{obj.server.name}"

    @admin.display(description="Operation", ordering="id")
    def shown(self, obj: Operation) -> str:
        """`Restart 7`."""
        return f"{obj.get_kind_display()} {obj.pk}"

    @admin.display(description="State", ordering="state")
    def shown_state(self, obj: Operation) -> str:
        """In colour."""
        return labels.status(_colour(obj)["colour"], obj.get_state_display())

    @admin.display(description="Requested by", ordering="requested_by")
    def asker(self, obj: Operation) -> str:
        """Who asked, in words."""
        return in_words(obj.requested_by)

    @admin.display(description="Requested", ordering="requested_at")
    def asked(self, obj: Operation) -> str:
        """How long ago."""
        return labels.moment(obj.requested_at)

    @admin.display(description="Took")
    def took(self, obj: Operation) -> str:
        """Begin to end."""
        return labels.seconds(obj.seconds)

    def get_urls(self) -> list[URLPattern]:
        """With the fragment that the page fetches again."""
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<int:number>/progress/", view, name="deployments_operation_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """State and output, for the page to put in place of what it shows."""
        operation = self.get_object(request, str(number))
        if operation is None or not self.has_view_permission(request, operation):
            raise Http404
        status = STOP_POLLING if operation.ended else 200
        return render(
            request,
            "deployments/admin/operation_progress.html",
            _shown(request, operation),
            status=status,
        )

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page."""
        operation = context.get("original")
        if operation is not None:
            context |= _shown(request, operation)
        return super().render_change_form(request, context, *args, **kwargs)


def _colour(operation: Operation) -> dict[str, str]:
    return {"colour": "interrupted" if operation.state == Operation.State.LOST else operation.state}


def _shown(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    readable = may_read_output(actor_of(request), operation)
    return {"operation": operation, "output": operation.output if readable else "", **_colour(operation)}
