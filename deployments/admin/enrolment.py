"""Adding a server: a form, the key that it shows to be compared with its console, and the record of it."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import change_url
from deployments.admin.forms import PageForm, choice, number, word
from deployments.core.actors import Actor
from deployments.environments.machines import known_as
from deployments.http.server_slots import server_slot
from deployments.models import Environment, Server
from deployments.servers.enrolment import Jump, check_host, enrol_server
from deployments.servers.next_steps import after_enrolling
from engine.artifacts.values import ROLES
from engine.errors import InvalidRequest, PortalError
from engine.ssh.address import JumpHost
from engine.ssh.keys import HostKey

_FIELD_OF = {"name_taken": "name", "machine_taken": "host", "host_unreachable": "host"}
"""The field that a refusal is about."""


class _Confirmed(forms.HiddenInput):
    """A fingerprint that the page between confirms; the form itself, filled in again, begins without."""

    def format_value(self, value: Any) -> None:
        """Nothing."""


class EnrolForm(PageForm):
    """Where the server is and what it is for; the fingerprints come with the second page."""

    environment = choice("Environment")
    name = word("Name", help_text="What everybody calls it: prod-1. Lower-case letters, digits and hyphens.")
    host = word("Address", max_length=253, help_text="A name or an address that this portal reaches.")
    port = number("Port", min_value=1, max_value=65535, initial=22, help_text="Of its sshd.")
    user = word(
        "Account that deploys",
        required=False,
        help_text="Provisioning makes it. Empty: rosey, or its own beside another application's.",
    )
    roles = forms.MultipleChoiceField(
        choices=[(role, role.capitalize()) for role in ROLES],
        initial=["bot"],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="An application of yours is a bot here, too.",
    )
    jump = word(
        "By way of",
        required=False,
        help_text="A jump host as user@host or user@host:port, where the portal does not reach the server itself.",
    )
    fingerprint = forms.CharField(required=False, widget=_Confirmed)
    jump_fingerprint = forms.CharField(required=False, widget=_Confirmed)

    def prepare(self) -> None:
        """Environments in use where this person may enrol."""
        rows = enrollable(self.actor) if self.actor else []
        choices = [(str(row.pk), str(row)) for row in rows]
        self.fields["environment"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField
        for name in ("name", "host", "user", "jump"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}

    def clean_name(self) -> str:
        """What the record takes."""
        return str(Server._meta.get_field("name").clean(self.cleaned_data["name"], None))

    def clean_host(self) -> str:
        """An address alone."""
        host: str = self.cleaned_data["host"]
        try:
            check_host(host)
            Server._meta.get_field("host").clean(host, None)
        except InvalidRequest as error:
            raise ValidationError(f"{error.message} Give it alone, without account, port or brackets.") from error
        except ValidationError as error:
            raise ValidationError(f"{host!r} is no name or address.") from error
        return host

    def clean_user(self) -> str:
        """An account's name."""
        user: str = self.cleaned_data["user"]
        try:
            return str(Server._meta.get_field("user").clean(user, None)) if user else ""
        except ValidationError as error:
            raise ValidationError(f"{user!r} is no name of an account: lower-case letters, digits, _ and -.") from error

    def clean_jump(self) -> str:
        """A jump host."""
        try:
            return str(JumpHost.parse(self.cleaned_data["jump"])) if self.cleaned_data["jump"] else ""
        except PortalError as error:
            raise ValidationError(str(error)) from error


@dataclass(frozen=True)
class Question:
    """A key that was shown and that nobody has confirmed yet."""

    field: str
    """Of the form, in which the fingerprint comes back."""
    whose: str
    where: str
    key: HostKey
    pinned: str

    @property
    def command(self) -> str:
        """What prints it on the console, by the kind of the key."""
        kind = self.key.type.removeprefix("ssh-").partition("-")[0]
        return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


def enrollable(actor: Actor) -> list[Environment]:
    """The environments in use where this person may add a server."""
    return [row for row in Environment.objects.filter(retired_at=None) if may(actor, Verb.ENROL, row)]


def enrol_view(admin: "ModelAdmin[Server]", request: HttpRequest) -> HttpResponse:
    """The form; the question whether the key is the right one; the server's page."""
    actor = actor_of(request)
    if not admin.has_add_permission(request):
        raise PermissionDenied
    sent = request.POST if request.method == "POST" else None
    form = EnrolForm(sent, actor=actor, initial=_linked(request))
    error: PortalError | None = None
    asked: list[Question] = []
    if sent is not None and form.is_valid() and "again" not in sent:
        try:
            server = _enrol(actor, form.cleaned_data, asked)
        except PortalError as refused:
            error = None if asked and refused.reason == "not_confirmed" else refused
        else:
            messages.success(request, f"{server} is enrolled, and its host key {server.fingerprint} is pinned.")
            if also := known_as(server.host_key, server.name):
                messages.warning(request, also)
            if again := after_enrolling(server):
                messages.warning(request, again)
            return HttpResponseRedirect(change_url(server))
    if error is not None and (field := _FIELD_OF.get(error.reason)):
        form.add_error(field, str(error))
    return _page(admin, request, form, asked[-1] if asked and error is None else None, error)


def enrol_again_address(server: Server) -> str:
    """The form, filled in with what is recorded: for another address, account or host key."""
    known = {name: getattr(server, name) for name in ("name", "host", "port", "user", "jump", "roles")}
    query = {"environment": server.environment_id, **known}
    return f"{reverse('admin:deployments_server_add')}?{urlencode(query, doseq=True)}"


def _linked(request: HttpRequest) -> dict[str, Any]:
    """What a link fills in."""
    given: dict[str, Any] = {name: request.GET[name] for name in request.GET}
    return {**given, "roles": request.GET.getlist("roles")} if "roles" in given else given


def _enrol(actor: Actor, given: dict[str, Any], asked: list[Question]) -> Server:
    """Ask the service; a key that the form names no fingerprint of is put into `asked`, and nothing is recorded."""

    def unconfirmed(field: str, whose: str, where: str) -> Any:
        def ask(key: HostKey, pinned: str) -> bool:
            asked.append(Question(field, whose, where, key, pinned if pinned != key.fingerprint else ""))
            return False

        return ask

    fronting = JumpHost.parse(given["jump"]) if given["jump"] else None
    jump = None
    if fronting is not None:
        ask = unconfirmed("jump_fingerprint", "jump host", f"{fronting.host}, port {fronting.port}")
        jump = Jump(fronting, given["jump_fingerprint"], ask)
    with server_slot():
        return enrol_server(
            actor=actor,
            name=given["name"],
            environment=Environment.objects.get(pk=given["environment"]),
            host=given["host"],
            port=given["port"],
            user=given["user"],
            roles=given["roles"],
            fingerprint=given["fingerprint"],
            confirm=unconfirmed("fingerprint", "server", f"{given['host']}, port {given['port']}"),
            jump=jump,
        )


def _page(
    admin: "ModelAdmin[Server]",
    request: HttpRequest,
    form: EnrolForm,
    question: Question | None,
    error: PortalError | None,
) -> HttpResponse:
    request.current_app = admin.admin_site.name
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": "Add a server",
        "subtitle": None,
        "form": form,
        "error": error if error and error.reason not in _FIELD_OF else None,
        "question": question,
        "also": known_as(str(question.key), form.cleaned_data["name"])
        if question and question.whose == "server"
        else "",
        "carried": _carried(form, question) if question else [],
        "known": question and Server.objects.filter(name=form.cleaned_data["name"]).first(),
        "back": reverse("admin:deployments_server_changelist"),
    }
    status = error.http_status if error else (422 if form.errors else 200)
    return TemplateResponse(request, "deployments/admin/enrol.html", context, status=status)


def _carried(form: EnrolForm, question: Question) -> list[tuple[str, str]]:
    """What was typed, as hidden fields, with the fingerprint that is confirmed by sending them."""
    given = {**form.cleaned_data, question.field: question.key.fingerprint}
    pairs = [(name, value if isinstance(value, list) else [value]) for name, value in given.items()]
    return [(name, str(each)) for name, values in pairs for each in values if each != ""]
