"""Four eyes: whoever asked for something is never the one who decides about it."""

from datetime import datetime

from deployments.access.account_control import Accounts, controllers_of, with_controllers
from deployments.access.policy import maker_of
from deployments.core.actors import PUSH_MARK, TOKEN_MARK, Actor, identity_in
from deployments.models import ApiToken, AuditEvent
from engine.errors import NotAllowed


def refuse_same_person(actor: Actor, requested_by: str, *, what: str) -> None:
    """Raise NotAllowed when `actor` answers for the request; roles and being a superuser make no difference.

    Who made a credential answers for what was asked with it, as its owner does.
    """
    behind = people_behind(requested_by)
    if actor.identity == identity_in(requested_by) or actor.people & behind - controllers_of(identity_in(requested_by)):
        raise NotAllowed(
            f"Whoever asked for {what} cannot be the one who decides about it.",
            hint="Ask a second person; being an administrator makes no difference.",
            reason="four_eyes",
        )
    if both := with_controllers(actor.people) & behind:
        raise NotAllowed(
            f"{', '.join(sorted(both))} lately let in whoever asked for {what}, or whoever would decide about it.",
            hint="The two count as one person for three days, or until a third one vouches for the account (People).",
            reason="four_eyes",
        )


class Responsibility(Accounts):
    """Who answers for what was asked and decided, looked up once for each: for many questions at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self._makers: dict[str, frozenset[str]] = {}

    def people_behind(self, requested_by: str, *, at: datetime | None = None) -> frozenset[str]:
        """Who answers for a recorded actor: the person, who made a token of theirs by that name, who controls either.

        Of what a webhook asked for in a person's name: who made the source too, by the audit trail, for they know its
        secret.
        """
        if requested_by not in self._makers:
            self._makers[requested_by] = _makers(requested_by)
        return self.with_controllers(self._makers[requested_by], at=at)


def people_behind(requested_by: str, *, at: datetime | None = None) -> frozenset[str]:
    """The same of one actor, asked now."""
    return Responsibility().people_behind(requested_by, at=at)


def _makers(requested_by: str) -> frozenset[str]:
    person, mark, name = requested_by.partition(TOKEN_MARK)
    tokens = ApiToken.objects.filter(owner__username=person, name=name).select_related("owner") if mark else ()
    source = name.removeprefix(PUSH_MARK)
    made = AuditEvent.objects.filter(name="source.made", subject=f"source:{source}").values_list("actor", flat=True)
    makers = made if source != name else ()
    return frozenset({identity_in(requested_by), *(maker_of(token) for token in tokens), *map(identity_in, makers)})
