"""Confirmation pages: what will happen in words, a form, and one service that is called when it is sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

from django.contrib import messages
from django.contrib.admin import ModelAdmin, helpers
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from deployments.access.policy import refusal
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.forms import PageForm
from deployments.core.actors import Actor
from deployments.http.error_messages import show_error
from deployments.models import Deployment, Environment
from engine.errors import NotAllowed, PortalError

M = TypeVar("M", bound=Model)
MANY = 200
"""Rows that one bulk action takes."""


@dataclass(frozen=True)
class Made:
    """What an action made, with the sentence to show; its page is the next one."""

    sentence: str
    obj: Model


@dataclass(frozen=True)
class Once:
    """A secret that an action made: shown on the next page and never again."""

    title: str
    text: str
    sentences: tuple[str, ...]


class Confirmation(Generic[M]):
    """One action of one model. Its page decides nothing: `perform` calls the service, whose refusal is shown."""

    slug: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str] = "play_arrow"
    tone: ClassVar[str] = "plain"
    """`plain`, `good` or `bad`: how the button looks."""
    verb: ClassVar[Verb]
    bulk: ClassVar[bool] = False
    form_class: ClassVar[type[PageForm]] = PageForm
    template: ClassVar[str] = "deployments/admin/confirmation.html"
    at_once: ClassVar[bool] = False
    """Whether the button does it without a page between: what changes nothing and asks for nothing."""
    prefilled: ClassVar[tuple[str, ...]] = ()
    """Fields that a link may fill in."""

    def offered(self, obj: M, actor: Actor) -> bool:
        """Whether the button makes sense for this object now."""
        return True

    def refusal(self, obj: M, actor: Actor) -> PortalError | None:
        """Why this person may not, before anything is filled in; the service says the same."""
        why = refusal(actor, self.verb, self.environment(obj))
        return NotAllowed(why[0], hint=why[1]) if why else None

    def over(self, obj: M) -> PortalError | None:
        """Why nothing is left to confirm, which its page then says in place of a form; None while something is."""
        return None

    def left_out(self, obj: M, actor: Actor) -> str:
        """Why a ticked row takes no part in a bulk action; empty when it does."""
        if why := self.refusal(obj, actor):
            return str(why)
        if self.offered(obj, actor):
            return ""
        status = getattr(obj, "get_status_display", None)
        return f"It is {status().lower()}." if status else f"There is nothing to {self.label.lower()}."

    def environment(self, obj: M) -> Environment | None:
        """The environment it is about, for the question who may."""
        found = obj if isinstance(obj, Environment) else getattr(obj, "environment", None)
        return found if isinstance(found, Environment) else None

    def title(self, obj: M) -> str:
        """The page's heading."""
        return f"{self.label}: {obj}"

    def consequences(self, obj: M) -> Sequence[str]:
        """What will happen, in sentences."""
        return ()

    def effect(self, obj: M) -> str:
        """What it comes to now, in a clause beside its button; empty where the button says it."""
        return ""

    def context(self, request: HttpRequest, obj: M) -> dict[str, Any]:
        """More for the template."""
        return {}

    def perform(self, *, actor: Actor, obj: M, data: dict[str, Any]) -> "str | Made | Once":
        """Call the service; returns the sentence to show, with it what was made, or what to show once."""
        raise NotImplementedError


def page(admin: "ModelAdmin[M]", confirmation: Confirmation[M]) -> Callable[..., HttpResponse]:
    """The view of one confirmation on a model's detail page.

    What is sent with `look` does nothing: the page comes again with what was typed, and what that would do.
    """

    def view(request: HttpRequest, object_id: str) -> HttpResponse:
        obj = admin.get_object(request, object_id)
        if obj is None or not admin.has_view_permission(request, obj):
            raise Http404(f"There is no {admin.opts.verbose_name} {object_id}.")
        actor = actor_of(request)
        looks = "look" in request.POST
        sent = request.POST if request.method == "POST" and not looks else None
        typed = request.POST if looks else request.GET
        linked = {name: typed[name] for name in typed if looks or name in confirmation.prefilled}
        form = confirmation.form_class(sent, subject=obj, actor=actor, initial=linked)
        may_not, over = confirmation.refusal(obj, actor), confirmation.over(obj)
        error = None if over and sent is None else may_not or over
        if sent is not None and error is None and form.is_valid():
            try:
                done = confirmation.perform(actor=actor, obj=obj, data=form.cleaned_data)
            except PortalError as refused:
                error = refused
            else:
                if isinstance(done, Once):
                    return shown_once(admin, request, done, change_url(obj))
                made = done if isinstance(done, Made) else Made(done, obj)
                messages.success(request, made.sentence)
                return HttpResponseRedirect(change_url(made.obj))
        return _shown(admin, confirmation, request, obj, None if may_not or over else form, error)

    return view


def bulk_action(
    confirmation: Confirmation[M],
) -> Callable[["ModelAdmin[M]", HttpRequest, QuerySet[M]], HttpResponse | None]:
    """The same for objects ticked in a list: one page, then the service for each; refusals are told one by one."""

    def action(admin: "ModelAdmin[M]", request: HttpRequest, chosen: QuerySet[M]) -> HttpResponse | None:
        actor, ticked = actor_of(request), list(chosen[: MANY + 1])
        left_out = [(obj, why) for obj in ticked[:MANY] if (why := confirmation.left_out(obj, actor))]
        left_out += [(obj, f"One action takes {MANY} rows: tick the others again.") for obj in ticked[MANY:]]
        objects = [obj for obj in ticked if obj not in [out for out, _ in left_out]]
        form = confirmation.form_class(
            request.POST if "confirmed" in request.POST else None, subject=objects[0] if objects else None, actor=actor
        )
        if "confirmed" not in request.POST or not form.is_valid():
            return _bulk_page(admin, confirmation, request, objects, left_out, form)
        for obj, why in left_out:
            messages.error(request, f"{obj}: left out. {why}")
        for obj in objects:
            try:
                done = confirmation.perform(actor=actor, obj=obj, data=form.cleaned_data)
                messages.success(request, done if isinstance(done, str) else str(getattr(done, "sentence", "")))
            except PortalError as refused:
                show_error(request, refused, str(obj))
        return None

    return action


def change_url(obj: Model) -> str:
    """An object's page: in the admin, and a deployment's own."""
    if isinstance(obj, Deployment):
        return reverse("deployment", args=[obj.pk])
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[quote(str(obj.pk), safe="")])


def shown_once(admin: "ModelAdmin[M]", request: HttpRequest, once: Once, back: str) -> HttpResponse:
    """The page of a secret that is never shown again."""
    shared = admin.admin_site.each_context(request)
    context = {**shared, "opts": admin.opts, "title": once.title, "once": once, "back": back}
    return TemplateResponse(request, "deployments/admin/shown_once.html", context)


def _shown(
    admin: "ModelAdmin[M]",
    confirmation: Confirmation[M],
    request: HttpRequest,
    obj: M,
    form: PageForm | None,
    error: PortalError | None,
) -> HttpResponse:
    request.current_app = admin.admin_site.name
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "original": obj,
        "title": confirmation.title(obj),
        "subtitle": None,
        "confirmation": confirmation,
        "consequences": list(confirmation.consequences(obj)),
        "form": form,
        "error": error,
        "back": change_url(obj),
        "media": form.media if form else "",
        **confirmation.context(request, obj),
    }
    status = error.http_status if error else (422 if form and form.errors else 200)
    return TemplateResponse(request, confirmation.template, context, status=status)


def _bulk_page(
    admin: "ModelAdmin[M]",
    confirmation: Confirmation[M],
    request: HttpRequest,
    objects: list[M],
    left_out: list[tuple[M, str]],
    form: PageForm,
) -> HttpResponse:
    request.current_app = admin.admin_site.name
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": f"{confirmation.label}: {len(objects)} {admin.opts.verbose_name_plural}",
        "subtitle": None,
        "confirmation": confirmation,
        "rows": [(obj, list(confirmation.consequences(obj))) for obj in objects],
        "left_out": left_out,
        "form": form,
        "action": f"bulk_{confirmation.slug}",
        "checkbox": helpers.ACTION_CHECKBOX_NAME,
        "media": form.media,
    }
    return TemplateResponse(request, "deployments/admin/bulk_confirmation.html", context)
