"""People: accounts, their roles and how they come in. Groups are the four roles and are not edited."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from unfold.widgets import UnfoldAdminTextInputWidget

from deployments.access.policy import may, roles_of
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import EVENTS_SHOWN
from deployments.admin.event_display import shown
from deployments.admin.forms import ModelForm
from deployments.admin.github_accounts import ConfirmGitHub, UnlinkGitHub
from deployments.admin.invitations import Invite, Recover, Vouch
from deployments.admin.lists import newest
from deployments.admin.page_and_form import PageAndForm
from deployments.admin.person_page import ROLE_WORDS, person_page, state_of
from deployments.core.actors import TOKEN_MARK
from deployments.models import Application, AuditEvent, Role
from deployments.people.accounts import FIELDS, add_person, change_person
from deployments.people.ways_in import WaysIn, ways_in


class PersonForm(ModelForm[User]):
    """What can be changed about an account."""

    roles = forms.MultipleChoiceField(
        required=False,
        choices=[(role.value, f"{role.label}: {words}") for role, words in ROLE_WORDS.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="Without a role nobody may do anything. Nobody approves their own requests, whatever their roles.",
    )

    applications = forms.ModelMultipleChoiceField(
        Application.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks"}),
        help_text="The roles hold in those that are ticked, and nowhere else; with none ticked in all.",
    )

    class Meta:
        model = User
        fields = FIELDS
        help_texts = {  # noqa: RUF012  (Django's attribute)
            "username": "Letters, digits and @ . + - _ only. A name is given once.",
            "is_active": "Switched off, nobody signs in with it; what the person did stays on record.",
        }
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
            self.initial["applications"] = list(self.instance.applications.all())
        else:
            del self.fields["applications"]


class NewPersonForm(PersonForm):
    """A new account; its person chooses the password, by an invitation."""

    class Meta(PersonForm.Meta):
        fields = ("username", "first_name", "last_name", "email")
        widgets = {**PersonForm.Meta.widgets, "username": UnfoldAdminTextInputWidget()}  # noqa: RUF012


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(PageAndForm[User]):
    """Accounts are switched off, never deleted: the record keeps naming people."""

    confirmations = (Invite(), Recover(), Vouch(), ConfirmGitHub(), UnlinkGitHub())
    form = PersonForm
    page_template = "deployments/admin/person.html"
    change_verb = add_verb = Verb.MANAGE_PEOPLE
    added = "Add and invite a person"
    list_display = ("username", "shown_name", "shown_state", "shown_roles", "shown_ways", "seen")
    list_filter = ("groups", "is_active")
    search_fields = ("username", "first_name", "last_name", "email")
    readonly_fields = ("username",)
    fieldsets = (
        (None, {"fields": (("username", "is_active"), ("first_name", "last_name"), "email", "roles", "applications")}),
    )
    add_fieldsets = ((None, {"fields": ("username", ("first_name", "last_name"), "email", "roles")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With their groups, which are their roles, and where these hold."""
        return super().get_queryset(request).prefetch_related("groups", "applications")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """By name, whoever is switched off last."""
        return ("-is_active", "username")

    def get_list_display(self, request: HttpRequest) -> Any:
        """How others sign in is shown to who looks after them."""
        manages = may(actor_of(request), Verb.MANAGE_PEOPLE)
        return [name for name in self.list_display if manages or name != "shown_ways"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with how everybody on its page signs in."""
        changes = super().get_changelist_instance(request)
        known = ways_in(changes.result_list)
        for row in changes.result_list:
            row.ways = known[row.pk]
        return changes

    def page(self, request: HttpRequest, obj: User, actions: list[dict[str, Any]]) -> dict[str, Any]:
        """Roles, ways in, tokens and keys."""
        return person_page(request, obj, actions)

    def audit_subject(self, obj: User) -> str:
        """`person:alice`."""
        return f"person:{obj.get_username()}"

    def events_for(self, obj: User) -> dict[str, Any]:
        """What the person did; what was done about them is one click away."""
        name = obj.get_username()
        own = AuditEvent.objects.filter(actor=name)[:EVENTS_SHOWN]
        by_token = newest(AuditEvent.objects.filter(actor__startswith=f"{name}{TOKEN_MARK}"))[:EVENTS_SHOWN]
        rows = sorted([*own, *by_token], key=lambda event: -event.sequence)
        address = reverse("admin:deployments_auditevent_changelist")
        return {
            "audit_events": [shown(event) for event in rows[:EVENTS_SHOWN]],
            "audit_all": f"{address}?{urlencode({'actor': name})}",
            "audit_about": f"{address}?{urlencode({'subject': self.audit_subject(obj)})}",
        }

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        """The form of a new account has a name."""
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
            change_person(
                actor=actor,
                person=User.objects.get(pk=obj.pk),
                changes=values,
                roles=roles,
                applications=given["applications"],
            )
            return
        made = add_person(
            actor=actor,
            username=given["username"],
            roles=roles,
            **{name: given[name] for name in ("first_name", "last_name", "email")},
        )
        obj.pk = made.pk

    def response_add(self, request: HttpRequest, obj: User, post_url_continue: str | None = None) -> HttpResponse:
        """On to the invitation."""
        return HttpResponseRedirect(reverse("admin:auth_user_invite", args=[obj.pk]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing more: the service has set the roles."""

    @admin.display(description="Name")
    def shown_name(self, obj: User) -> str:
        """In full."""
        return obj.get_full_name() or labels.NONE

    @admin.display(description="Roles")
    def shown_roles(self, obj: User) -> str:
        """Those of the groups, and where they hold; a superuser has all."""
        words = ["superuser"] if obj.is_superuser else sorted(role.value for role in roles_of(obj))
        where = ", ".join(application.name for application in obj.applications.all())
        pills = [labels.tag(word) for word in words] or [labels.status("waiting", "no role")]
        return labels.pills([*pills, f"in {where}"] if where else pills)

    @admin.display(description="State", ordering="is_active")
    def shown_state(self, obj: User) -> str:
        """Whether they can come in, or what of an invitation there is."""
        return labels.status(*state_of(obj, _ways(obj)))

    @admin.display(description="Signs in by")
    def shown_ways(self, obj: User) -> str:
        """What lets them in; a password alone is marked."""
        ways = _ways(obj)
        pills = [
            labels.status("waiting", word) if word == "Password alone" else labels.tag(word) for word in ways.words
        ]
        return labels.pills(pills) if pills else labels.NONE

    @admin.display(description="Last signed in", ordering="last_login")
    def seen(self, obj: User) -> str:
        """How long ago."""
        return labels.moment(obj.last_login)


def _ways(person: User) -> WaysIn:
    known: WaysIn = person.ways  # type: ignore[attr-defined]  # the list has read them for all of its page
    return known
