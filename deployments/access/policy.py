"""Who may do what.

`access.verbs` is the table. Every service calls `require` first, so that the admin, the API and the management
commands cannot disagree, and so that a portal that has moved changes nothing (`core.read_only`). Being a superuser
counts as having every role; four eyes (`access.four_eyes`) is no matter of roles and has no exception.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model

from deployments.access.verbs import Verb
from deployments.core import read_only
from deployments.core.actors import Actor, identity_in
from deployments.models import ApiToken, Application, AuditEvent, Environment, Role, Scope
from engine.errors import NotAllowed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NOT_ON_RECORD = "somebody else"
"""Stands for the maker of a token that the audit trail does not know; no account has such a name."""
MACHINES = frozenset({Scope.HEARTBEAT, Scope.ALERTS, Scope.METRICS})
"""What bots, Alertmanager and Prometheus do, with tokens that belong to no person."""


def roles_of(user: "User") -> frozenset[Role]:
    """A person's roles: the groups of those names; a superuser has all, an inactive account none."""
    if not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(Role)
    return frozenset(Role(name) for group in user.groups.all() if (name := group.name) in Role.values)


def applications_of(user: "User") -> frozenset[str] | None:
    """Where a person's roles hold: in the applications that name them; None, in all, where none does, and for a
    superuser.
    """
    names = frozenset(Application.objects.filter(people=user.pk).values_list("name", flat=True))
    return None if user.is_superuser or not names else names


def still_may(recorded: str, verb: Verb, environment: Environment | None) -> bool:
    """Whether the person behind a recorded actor holds a role for `verb` there now; shell and system always do."""
    identity = identity_in(recorded)
    if ":" in identity:  # shell:root, system:reaper; user names hold no colon
        return True
    user = get_user_model().objects.filter(username=identity).first()
    if user is None or not roles_of(user) & verb.rule.roles:
        return False
    return _holds_in(user_actor(user), environment.application if environment else None)


def user_actor(user: "User") -> Actor:
    """The actor for somebody who signed in."""
    name = user.get_username()
    return Actor("user", name, roles_of(user), person=name, applications=applications_of(user))


def token_actor(token: ApiToken) -> Actor:
    """The actor for a valid token (`access.tokens.authenticate` has checked it)."""
    owner = token.owner
    person = owner.get_username() if owner else ""
    maker = maker_of(token) if owner else ""
    roles = roles_of(owner) if owner else frozenset()
    if owner is None and token.binding is not None:  # a workflow that nobody here started: no more than the shell can
        roles, maker = frozenset({Role.OPERATOR}), identity_in(token.binding.created_by)
    return Actor(
        "token",
        token.name,
        roles,
        frozenset(Scope(scope) for scope in token.scopes),
        person=person,
        environment_id=token.environment_id,
        applications=applications_of(owner) if owner else None,
        maker="" if maker == person else maker,
    )


def maker_of(token: ApiToken) -> str:
    """Who made a person's token, by the audit trail; `NOT_ON_RECORD` where that knows no such token of this owner."""
    issued = AuditEvent.objects.filter(subject=f"token:{token.pk}", name="token.issued").first()
    if issued is None or token.owner is None or issued.data.get("owner") != token.owner.get_username():
        return NOT_ON_RECORD
    return identity_in(issued.actor)


def usable_scopes(user: "User | None") -> frozenset[Scope]:
    """What a token of this owner could do at all: what the owner's roles allow; for nobody, what machines do."""
    if user is None:
        return MACHINES
    roles = roles_of(user)
    usable = {verb.rule.scope for verb in Verb if verb.rule.scope and roles & verb.rule.roles}
    return frozenset(usable | {Scope.METRICS}) if roles else frozenset()


def may(actor: Actor, verb: Verb, environment: Environment | None = None, *, application: str | None = None) -> bool:
    """Whether `require` would let `actor` pass."""
    return refusal(actor, verb, environment, application=application) is None


def require(
    actor: Actor, verb: Verb, environment: Environment | None = None, *, application: str | None = None
) -> None:
    """Raise NotAllowed, saying which role or scope is missing, unless `actor` may do `verb`.

    It is done to an environment, to an `application`, or to the portal as a whole. Raises NotInCharge where the verb
    changes something and the portal has moved.
    """
    require_role(actor, verb, environment, application=application)
    if not verb.rule.reads:
        read_only.refuse_change()


def may_somewhere(actor: Actor, verb: Verb) -> bool:
    """Whether there is anything that `actor` may do `verb` to: for what is offered before anybody has said to what."""
    return may(_anywhere(actor), verb)


def require_somewhere(actor: Actor, verb: Verb) -> None:
    """Raise NotAllowed where there is nothing that `actor` may do `verb` to. Before what it is done to was looked up:
    then `require` decides.
    """
    require(_anywhere(actor), verb)


def _anywhere(actor: Actor) -> Actor:
    return replace(actor, applications=None, environment_id=None)


def require_role(
    actor: Actor, verb: Verb, environment: Environment | None = None, *, application: str | None = None
) -> None:
    """The same wherever the portal stands: for what moves it, and for putting a backup in its place."""
    if why := refusal(actor, verb, environment, application=application):
        raise NotAllowed(why[0], hint=why[1])


def refusal(
    actor: Actor, verb: Verb, environment: Environment | None, *, application: str | None = None
) -> tuple[str, str] | None:
    """Why not, as sentence and hint; None when allowed."""
    if actor.kind == "system":
        return (f"The system may not {verb.words}.", "Let a person do it.") if verb.rule.person else None
    if actor.kind == "shell":
        return _shell_refusal(verb, environment)
    if actor.scopes is not None:
        scope = verb.rule.scope
        if scope is None or scope not in actor.scopes:
            wanted = f"the scope {scope.value}" if scope else "a signed-in person"
            return f"The token {actor.name} may not {verb.words}.", f"This needs {wanted}."
        if actor.environment_id and (why := _beyond_its_environment(actor, verb, environment)):
            return why
        if actor.maker and _shell_refusal(verb, environment):
            return _made_by_another(actor, verb)
    if not actor.roles & verb.rule.roles:
        wanted = " or ".join(sorted(role.value for role in verb.rule.roles))
        return f"{actor} may not {verb.words}.", f"Ask an administrator for the role {wanted}."
    within = environment.application if environment else application
    if _holds_in(actor, within) or (verb.rule.everywhere and (verb.rule.reads or within is None)):
        return None
    held, place = ", ".join(sorted(actor.applications or ())), environment or application or "for the whole portal"
    return (
        f"The roles of {actor} hold in {held} alone: not to {verb.words} {place}.",
        "Ask an administrator to widen them (People).",
    )


def _holds_in(actor: Actor, application: str | None) -> bool:
    """Whether its roles hold in this application; None is the portal as a whole."""
    return actor.applications is None or application in actor.applications


def _beyond_its_environment(actor: Actor, verb: Verb, environment: Environment | None) -> tuple[str, str] | None:
    if environment is None and not verb.rule.everywhere:
        return (
            f"The token {actor.name} is for one environment: not to {verb.words} what is of none, or of several.",
            "Name that environment, or take a token without one.",
        )
    if environment is not None and actor.environment_id != environment.pk:
        return f"The token {actor.name} is not for {environment}.", "Make a token for this environment."
    return None


def _made_by_another(actor: Actor, verb: Verb) -> tuple[str, str]:
    if not actor.person:
        return (
            f"Nobody here is known to have started the run of {actor.name}: it may not {verb.words}.",
            "Whoever pushes links their account on GitHub to theirs here, and somebody else confirms it; a run that "
            "was started again is nobody's.",
        )
    return (
        f"The token {actor.name} of {actor.person} was made by {actor.maker}: it may not {verb.words}.",
        f"What needs a person takes a token that the person made: let {actor.person} make one.",
    )


def _shell_refusal(verb: Verb, environment: Environment | None) -> tuple[str, str] | None:
    if verb.rule.person:
        return f"The shell alone may not {verb.words}.", "Give a token (PORTAL_TOKEN_FILE) or sign in when asked."
    if verb.rule.at_shell:
        return None
    if environment is not None and environment.protected:
        return (
            f"{environment} is protected: the shell alone may not {verb.words} there.",
            "Give a token (PORTAL_TOKEN_FILE) or sign in when asked.",
        )
    return None
