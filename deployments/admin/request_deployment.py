"""Asking for a deployment: which releases there are, what each would do, and the request."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, switch, text
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.environments.guards import refuse_locked, refuse_retired
from deployments.models import Environment, Release
from deployments.requests.release_objections import objections_to
from deployments.requests.release_options import chosen, offers, preview
from deployments.requests.release_records import ReleaseRecord
from deployments.requests.requests import request_deployment
from engine.errors import PortalError

PLAN_OF = "plan_of"
"""The input that comes with a plan: the number of its release."""
SHOWN = 5
"""Releases that are offered without a click."""


class RequestForm(PageForm):
    """What to deploy, and why. It is sent with the number of the release whose plan was on the page."""

    release = forms.ChoiceField(label="Release")
    reason = text("Reason", required=False, help_text="Optional. Shown to whoever approves.")
    break_glass = switch(
        "Break-glass: do not wait for approval",
        help_text="Needs a reason, is announced loudly, and stays marked until a second person has reviewed it.",
    )

    def prepare(self) -> None:
        """Releases of the environment's application, newest first, each with what became of it."""
        named = self.data.get("release") or self.initial.get("release", "")
        self.found = offers(self.subject, named) if self.subject is not None else []
        self.fields["release"].choices = [(one.release.pk, str(one.release)) for one in self.found]  # type: ignore[attr-defined]  # a ChoiceField
        if self.subject is not None and (one := chosen(self.subject, self.found, named)):
            self.initial["release"] = one.release.pk
        if self.subject is not None and not self.subject.protected:
            del self.fields["break_glass"]

    @property
    def picked(self) -> str:
        """The number of the release that is chosen, as it is in the page's own rows."""
        return str(self["release"].value() or "")

    @property
    def newest(self) -> list[ReleaseRecord]:
        """The rows that are seen at once."""
        return self.found[:SHOWN]

    @property
    def older(self) -> list[ReleaseRecord]:
        """The rows that are folded away, unless one of them is chosen."""
        return self.found[SHOWN:]

    @property
    def older_picked(self) -> bool:
        """Whether one of the folded rows is the chosen one."""
        return any(str(one.release.pk) == self.picked for one in self.older)

    def clean_release(self) -> str:
        """Not what was chosen beside the plan of another release: that one was not read."""
        release: str = self.cleaned_data["release"]
        if (read := self.data.get(PLAN_OF, "")) != release:
            names = {str(one.release.pk): one.release for one in self.found}
            before = f"was the plan of {names[read]}" if read in names else "was no plan of it"
            raise ValidationError(
                f"You chose {names[release]}, and what the page showed {before}. "
                "It shows the plan of your choice now: read it, then send the request again.",
                code="other_plan",
            )
        return release


def _closed(environment: Environment) -> PortalError | None:
    """Why nothing can be asked for there."""
    try:
        refuse_retired(environment)
        refuse_locked(environment)
        if not Release.objects.exists():
            selectors.newest_release()
    except PortalError as error:
        return error
    return None


def plan_of(actor: Actor, environment: Environment, named: str) -> dict[str, Any]:
    """What a request of the release numbered `named`, else of the first choice, would do; of none where none is."""
    found = offers(environment, named)
    offer = chosen(environment, found, named)
    if offer is None:
        return {"not_here": bool(named), "choosable": bool(found)}
    shown = {"offer": offer, "objections": objections_to(offer), "test_first": _test_first(actor, environment, offer)}
    try:
        return shown | {"plan": preview(actor=actor, environment=environment, release=offer.release)}
    except PortalError as error:
        return shown | {"plan_error": error}


def _test_first(actor: Actor, environment: Environment, offer: ReleaseRecord) -> dict[str, str] | None:
    """Where a release that has run nowhere can be tried without approval, before it goes where one is needed."""
    if offer.history or not environment.protected:
        return None
    open_ones = Environment.objects.filter(
        retired_at=None, locked_at=None, approvals_required=0, application=environment.application
    )
    place = next((row for row in open_ones if may(actor, Verb.REQUEST, row)), None)
    if place is None:
        return None
    address = reverse("admin:deployments_environment_request", args=[place.pk])
    return {"name": str(place), "url": f"{address}?release={offer.release.pk}"}


def asking_for(release: Release | None, environment: Environment, actor: Actor, label: str) -> dict[str, Any] | None:
    """The button that leads to the page of a request, `release` chosen; None where this person asks for nothing."""
    if environment.locked or environment.retired or not may(actor, Verb.REQUEST, environment):
        return None
    if release is not None and not release.artifact:
        return None
    address = reverse("admin:deployments_environment_request", args=[environment.pk])
    chosen_there = f"{address}?release={release.pk}" if release is not None else address
    return {"label": label, "icon": "rocket_launch", "tone": "good", "url": chosen_there}


def places_to_deploy_to(actor: Actor) -> list[dict[str, str]]:
    """Name and page of a request, for each environment in which this person may ask for one now."""
    if not Release.objects.exists():
        return []
    return [
        {"name": str(row), "url": reverse("admin:deployments_environment_request", args=[row.pk])}
        for row in Environment.objects.filter(retired_at=None, locked_at=None)
        if may(actor, Verb.REQUEST, row)
    ]


class RequestDeployment(Confirmation[Environment]):
    """Deploy a release here."""

    slug = "request"
    label = "Request deployment"
    icon = "rocket_launch"
    tone = "good"
    verb = Verb.REQUEST
    form_class = RequestForm
    template = "deployments/admin/request.html"
    prefilled = ("release", "reason")

    def offered(self, obj: Environment, actor: Actor) -> bool:
        """Where deployments are taken."""
        return _closed(obj) is None

    def refusal(self, obj: Environment, actor: Actor) -> PortalError | None:
        """Neither without the role, nor where it is locked or there is nothing to deploy."""
        return super().refusal(obj, actor) or _closed(obj)

    def context(self, request: HttpRequest, obj: Environment) -> dict[str, Any]:
        """The plan of the release that is chosen."""
        named = request.POST.get("release") or request.GET.get("release", "")
        replaced = selectors.waiting_requests().filter(environment=obj).first()
        own = {"plan_url": request.path, "plan_input": PLAN_OF, "replaced": replaced}
        return plan_of(actor_of(request), obj, named) | own

    def title(self, obj: Environment) -> str:
        """Where."""
        return f"Deploy to {obj}"

    def consequences(self, obj: Environment) -> Sequence[str]:
        """What a request does here."""
        approvals = "one approval" if obj.approvals_required == 1 else f"{obj.approvals_required} approvals"
        if not obj.protected:
            return ["It needs no approval: it is queued at once."]
        return [f"It waits for {approvals} by somebody else, {obj.approval_hours} hours at most. Nothing runs before."]

    def perform(self, *, actor: Actor, obj: Environment, data: dict[str, Any]) -> Made:
        """Request it."""
        made = request_deployment(
            actor=actor,
            release=Release.objects.get(pk=data["release"]),
            environment=obj,
            reason=data["reason"],
            break_glass=data.get("break_glass", False),
        )
        return Made(f"Deployment {made.pk} of {made.release} is {made.get_status_display().lower()}.", made)
