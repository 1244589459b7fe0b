"""People: accounts, their roles and their passwords. Groups are the four roles and are not edited."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from deployments.access.policy import roles_of
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import EVENTS_SHOWN, PortalAdmin
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import ModelForm, PageForm
from deployments.admin.trail import shown
from deployments.core.actors import Actor
from deployments.github.accounts import unlink_account
from deployments.models import ApiToken, AuditEvent, GitHubAccount, Role
from deployments.people.accounts import FIELDS, add_person, change_person, set_password

ROLE_WORDS = {
    Role.VIEWER: "Viewer: sees everything",
    Role.OPERATOR: "Operator: requests, cancels, rolls back, locks",
    Role.APPROVER: "Approver: approves what others requested",
    Role.ADMINISTRATOR: "Administrator: servers, keys, configuration, people",
}


def _password(label: str, help_text: str = "") -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, strip=False, widget=widget, help_text=help_text)


class PersonForm(ModelForm[User]):
    """What can be changed about an account."""

    roles = forms.MultipleChoiceField(
        required=False,
        choices=[(role.value, words) for role, words in ROLE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="Without a role nobody may do anything. Nobody approves their own requests, whatever their roles.",
    )

    class Meta:
        model = User
        fields = FIELDS
        widgets = {  # noqa: RUF012  (Django's attribute)
            "first_name": UnfoldAdminTextInputWidget(),
            "last_name": UnfoldAdminTextInputWidget(),
            "email": UnfoldAdminTextInputWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            held = self.instance.groups.values_list("name", flat=True)
            self.initial["roles"] = [name for name in held if name in Role.values]


class NewPersonForm(PersonForm):
    """A new account, with its first password."""

    password1 = _password("First password", password_validators_help_text_html())
    password2 = _password("The same again")

    class Meta(PersonForm.Meta):
        fields = ("username", "first_name", "last_name", "email")
        widgets = {**PersonForm.Meta.widgets, "username": UnfoldAdminTextInputWidget()}  # noqa: RUF012

    def clean_password2(self) -> str:
        """Both must be equal."""
        second: str = self.cleaned_data["password2"]
        if self.cleaned_data.get("password1") != second:
            raise forms.ValidationError("The two passwords differ.")
        return second


class PasswordForm(PageForm):
    """A new password, twice."""

    password = _password("New password", password_validators_help_text_html())
    again = _password("The same again")

    def clean_again(self) -> str:
        """Both must be equal."""
        again: str = self.cleaned_data["again"]
        if self.cleaned_data.get("password") != again:
            raise forms.ValidationError("The two passwords differ.")
        return again


class SetPassword(Confirmation[User]):
    """For somebody who has lost theirs."""

    slug = "set-password"
    label = "Set password"
    icon = "password"
    verb = "manage_people"
    form_class = PasswordForm

    def consequences(self, obj: User) -> Sequence[str]:
        """What happens."""
        return [
            f"{obj.get_username()} is signed out everywhere and signs in with the new password.",
            "Their API tokens are revoked: they make new ones.",
            "The audit trail says that you set it. Ask them to change it.",
        ]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> str:
        """Set it."""
        set_password(actor=actor, person=obj, password=data["password"])
        return f"{obj.get_username()} has a new password."


class UnlinkGitHub(Confirmation[User]):
    """For an account that is somebody else's."""

    slug = "unlink-github"
    label = "Unlink GitHub account"
    icon = "link_off"
    tone = "bad"
    verb = "manage_people"

    def offered(self, obj: User, actor: Actor) -> bool:
        """While one is linked."""
        return GitHubAccount.objects.filter(person=obj).exists()

    def consequences(self, obj: User) -> Sequence[str]:
        """What happens."""
        return ["What it starts on GitHub is nobody's from now on, and tokens of its runs end. It can be linked again."]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> str:
        """Unlink it."""
        unlink_account(actor=actor, person=obj)
        return f"No account on GitHub is linked to {obj.get_username()}."


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(PortalAdmin[User]):
    """Accounts are switched off, never deleted: the record keeps naming people."""

    confirmations = (SetPassword(), UnlinkGitHub())
    form = PersonForm
    change_verb = add_verb = "manage_people"
    list_display = ("username", "shown_name", "shown_roles", "shown_state", "seen")
    list_filter = ("groups", "is_active")
    search_fields = ("username", "first_name", "last_name", "email")
    readonly_fields = ("username", "last_login", "date_joined", "shown_superuser", "shown_tokens")
    fieldsets = (
        (None, {"fields": (("username", "is_active"), ("first_name", "last_name"), "email", "roles")}),
        ("Sign-in", {"fields": (("last_login", "date_joined"), "shown_superuser", "shown_tokens")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", ("first_name", "last_name"), "email", "roles", "password1", "password2")}),
    )

    def audit_subject(self, obj: User) -> str:
        """`person:alice`."""
        return f"person:{obj.get_username()}"

    def events_for(self, obj: User) -> dict[str, Any]:
        """What the person did; what was done about them is one click away."""
        name = obj.get_username()
        rows = AuditEvent.objects.filter(actor=name) | AuditEvent.objects.filter(actor__startswith=f"{name}/token:")
        address = reverse("admin:deployments_auditevent_changelist")
        return {
            "audit_events": [shown(event) for event in rows[:EVENTS_SHOWN]],
            "audit_all": f"{address}?{urlencode({'actor': name})}",
            "audit_about": f"{address}?{urlencode({'subject': self.audit_subject(obj)})}",
        }

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form of a new account has a password."""
        if obj is None:
            kwargs["form"] = NewPersonForm
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """A name is given once."""
        return self.readonly_fields if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Through the service."""
        given, actor = form.cleaned_data, actor_of(request)
        roles = [Role(name) for name in given["roles"]]
        if change:
            values = {name: given[name] for name in FIELDS if name in form.changed_data}
            change_person(actor=actor, person=User.objects.get(pk=obj.pk), changes=values, roles=roles)
            return
        made = add_person(
            actor=actor,
            username=given["username"],
            password=given["password1"],
            roles=roles,
            **{name: given[name] for name in ("first_name", "last_name", "email")},
        )
        obj.pk = made.pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing more: the service has set the roles."""

    @admin.display(description="Name")
    def shown_name(self, obj: User) -> str:
        """In full."""
        return obj.get_full_name() or "–"

    @admin.display(description="Roles")
    def shown_roles(self, obj: User) -> str:
        """Those of the groups; a superuser has all."""
        if obj.is_superuser:
            return "superuser"
        return ", ".join(sorted(role.value for role in roles_of(obj))) or "none"

    @admin.display(description="State", ordering="is_active")
    def shown_state(self, obj: User) -> str:
        """Switched off or not."""
        return labels.status("succeeded" if obj.is_active else "expired", "Active" if obj.is_active else "Switched off")

    @admin.display(description="Last signed in", ordering="last_login")
    def seen(self, obj: User) -> str:
        """How long ago."""
        return labels.moment(obj.last_login)

    @admin.display(description="Superuser")
    def shown_superuser(self, obj: User) -> str:
        """What it means."""
        if not obj.is_superuser:
            return "No"
        return "Yes: every role, but no way around four eyes. Made on the shell only."

    @admin.display(description="API tokens")
    def shown_tokens(self, obj: User) -> str:
        """Valid ones, by name."""
        names = ApiToken.objects.filter(owner=obj, revoked_at=None).values_list("name", flat=True)
        return ", ".join(names) or "none"
