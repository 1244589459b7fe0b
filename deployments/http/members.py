"""Who may see a page: everyone, or people who signed in and have a role."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from deployments.access.policy import may, user_actor
from deployments.access.verbs import Verb
from deployments.core.actors import Actor

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def is_member(request: HttpRequest) -> bool:
    """Whether the visitor signed in and may view the control plane; a refusal may come before anybody has."""
    return isinstance(getattr(request, "user", None), User) and may(signed_in(request), Verb.VIEW)


def signed_in(request: HttpRequest) -> Actor:
    """Who acts on a page that is for members only."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied("Sign in first.")
    return user_actor(user)


def members_only(view: View[P]) -> View[P]:
    """Send strangers to the sign-in, and say no to people without a role."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not is_member(request):
            raise PermissionDenied("Your account has no role. Ask an administrator for one.")
        return view(request, *args, **kwargs)

    return guarded
