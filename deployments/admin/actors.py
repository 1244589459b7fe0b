"""Who acts in the admin."""

from django.contrib.auth.models import User
from django.http import HttpRequest

from deployments.access.policy import user_actor
from deployments.core.actors import Actor


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person; looked up once per request."""
    known: Actor | None = getattr(request, "_portal_actor", None)
    if known is None:
        user = request.user
        known = user_actor(user) if isinstance(user, User) else Actor("user", "")
        request._portal_actor = known  # type: ignore[attr-defined]  # a cache of this request's own
    return known
