"""Four eyes: whoever asked for something is never the one who decides about it."""

from deployments.errors import NotAllowed
from deployments.services.access import Actor, identity_in


def refuse_same_person(actor: Actor, requested_by: str, *, what: str) -> None:
    """Raise NotAllowed when `actor` answers for the request; roles and being a superuser make no difference."""
    if actor.identity == identity_in(requested_by):
        raise NotAllowed(
            f"Whoever asked for {what} cannot be the one who decides about it.",
            hint="Ask a second person; being an administrator makes no difference.",
            reason="four_eyes",
        )
