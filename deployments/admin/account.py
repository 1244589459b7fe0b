"""One's own account: how one signs in, where one is signed in, and the account on GitHub that is also one's own."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from deployments.access import issuer, second_factor
from deployments.access.own_sessions import end_other_sessions, end_session, refuse_stale, sessions_of
from deployments.access.policy import roles_of
from deployments.admin.actors import actor_of
from deployments.admin.forms import PageForm, number, word
from deployments.admin.person_page import valid_tokens
from deployments.github.accounts import link_account, unlink_account
from deployments.models import GitHubAccount, SigningKey, SingleSignOn
from deployments.people.second_factors import remove_app
from deployments.people.single_sign_on import unlink
from engine.errors import PortalError


class LinkForm(PageForm):
    """Which account."""

    login = word("Login on GitHub", max_length=39)
    account_id = number(
        "Its number",
        min_value=1,
        max_value=2**63 - 1,
        help_text="Logins are given away, numbers are not: gh api user --jq .id",
    )


def view(site: AdminSite, request: HttpRequest, extra_context: dict[str, Any]) -> HttpResponse:
    """The page; what was asked is named by the button that was pressed."""
    person = request.user
    if not isinstance(person, User):
        raise TypeError("the admin site lets in people only")
    form = LinkForm(request.POST if "link" in request.POST else None)
    error: PortalError | None = None
    if request.method == "POST":
        try:
            if said := _done(request, person, form):
                messages.success(request, said)
                return HttpResponseRedirect(reverse("admin:account"))
        except PortalError as refused:
            error = refused
    context = {
        **site.each_context(request),
        **extra_context,
        "title": "Your account",
        "form": form,
        "error": error,
        "sessions": sessions_of(person, request.session.session_key),
        "factors": {
            "passkeys": SigningKey.objects.filter(person=person.get_username()).exclude(credential=""),
            "app": second_factor.has_app(person),
            "needed": second_factor.is_needed(person),
            "sign_on": SingleSignOn.objects.filter(person=person).first(),
            "sign_on_offered": issuer.is_set_up(),
            "codes": second_factor.codes_left(person),
        },
        "github": GitHubAccount.objects.filter(person=person).first(),
        "roles": sorted(role.label for role in roles_of(person)),
        "tokens": valid_tokens(person),
    }
    status = error.http_status if error else (422 if form.errors else 200)
    return TemplateResponse(request, "deployments/admin/account.html", context, status=status)


def _done(request: HttpRequest, person: User, form: LinkForm) -> str:
    actor = actor_of(request)
    if "end" in request.POST:
        end_session(actor=actor, person=person, identifier=request.POST["end"])
        return "The session has ended."
    if "end_others" in request.POST:
        ended = end_other_sessions(actor=actor, person=person, current_key=request.session.session_key)
        return f"Other sessions that have ended: {ended}."
    if "remove_app" in request.POST:
        refuse_stale(request)
        remove_app(actor=actor, person=person)
        return "The authenticator app is not asked any more."
    if "unlink_sign_on" in request.POST:
        refuse_stale(request)
        unlink(actor=actor, person=person)
        return "Single sign-on does not sign you in any more."
    if "unlink" in request.POST:
        unlink_account(actor=actor, person=person)
        return "No account on GitHub is linked any more."
    if form.is_bound and form.is_valid():
        refuse_stale(request)
        account = link_account(actor=actor, person=person, **form.cleaned_data)
        return f"What {account} starts on GitHub counts as asked by you once somebody else has confirmed its number."
    return ""
