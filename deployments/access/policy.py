"""Who may do what.

`VERBS` is the table of docs/security.md, which a test reads. Every service calls `require` first, so that the admin,
the API and the management commands cannot disagree, and so that a portal that has moved changes nothing
(`core.read_only`). Being a superuser counts as having every role; four eyes
(`access.four_eyes`) is no matter of roles and has no exception.
"""

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model

from deployments.core import read_only
from deployments.core.actors import Actor, identity_in
from deployments.models import ApiToken, AuditEvent, Environment, Role, Scope
from engine.errors import NotAllowed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_V, _O, _A, _M = Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMINISTRATOR

VERBS: dict[str, frozenset[Role]] = {
    "view": frozenset({_V, _O, _A, _M}),
    "request": frozenset({_O}),
    "cancel": frozenset({_O}),
    "roll_back": frozenset({_O}),
    "verify": frozenset({_O}),
    "lock": frozenset({_O}),
    "drill": frozenset({_O}),
    "break_glass": frozenset({_O}),
    "acknowledge": frozenset({_O, _A}),
    "silence": frozenset({_O}),
    "approve": frozenset({_A}),
    "review": frozenset({_A}),
    "decide_policy": frozenset({_A}),
    "add_release": frozenset({_O, _M}),
    "configure": frozenset({_M}),
    "enrol": frozenset({_M}),
    "provision": frozenset({_M}),
    "decommission": frozenset({_M}),
    "set_secret": frozenset({_M}),
    "rotate_keys": frozenset({_M}),
    "manage_tokens": frozenset({_M}),
    "own_token": frozenset({_V, _O, _A, _M}),
    "manage_people": frozenset({_M}),
    "own_key": frozenset({_A}),
    "confirm_key": frozenset({_A, _M}),
    "read_audit": frozenset({_V, _O, _A, _M}),
    "export_audit": frozenset({_A, _M}),
    "back_up": frozenset({_M}),
    "move_portal": frozenset({_M}),
}
# What a token may do is its owner's roles narrowed to these.
SCOPES: dict[str, Scope] = {
    "view": Scope.READ,
    "read_audit": Scope.READ,
    "export_audit": Scope.READ,
    "request": Scope.DEPLOY,
    "cancel": Scope.DEPLOY,
    "roll_back": Scope.DEPLOY,
    "verify": Scope.DEPLOY,
    "approve": Scope.APPROVE,
    "review": Scope.APPROVE,
    "add_release": Scope.RELEASE,
    "configure": Scope.ADMINISTER,
    "enrol": Scope.ADMINISTER,
    "provision": Scope.ADMINISTER,
    "decommission": Scope.ADMINISTER,
    "set_secret": Scope.ADMINISTER,
    "rotate_keys": Scope.ADMINISTER,
    "back_up": Scope.ADMINISTER,
    "move_portal": Scope.ADMINISTER,
    "acknowledge": Scope.ALERTS,
    "silence": Scope.ALERTS,
}
NOT_ON_RECORD = "somebody else"
"""Stands for the maker of a token that the audit trail does not know; no account has such a name."""
"""Characters of an actor that the record keeps."""
MACHINES = frozenset({Scope.HEARTBEAT, Scope.ALERTS, Scope.METRICS})
"""What bots, Alertmanager and Prometheus do, with tokens that belong to no person."""
NEEDS_A_PERSON = frozenset(
    {
        *("approve", "break_glass", "review", "decide_policy"),
        *("manage_people", "own_token", "own_key", "confirm_key"),
    }
)
# A person at the shell already holds the database; these leave no trace on a protected server.
SHELL_EVERYWHERE = frozenset({"view", "add_release", "read_audit", "export_audit", "back_up", "verify"})
PERSONAL = frozenset(scope for verb, scope in SCOPES.items() if verb not in SHELL_EVERYWHERE)
"""Scopes with a verb that needs a person, at least where an environment is protected."""


def roles_of(user: "User") -> frozenset[Role]:
    """A person's roles: the groups of those names; a superuser has all, an inactive account none."""
    if not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(Role)
    return frozenset(Role(name) for name in user.groups.values_list("name", flat=True) if name in Role.values)


def still_may(recorded: str, verb: str) -> bool:
    """Whether the person behind a recorded actor holds a role for `verb` now; the shell and the system always do."""
    identity = identity_in(recorded)
    if ":" in identity:  # shell:root, system:reaper; user names hold no colon
        return True
    user = get_user_model().objects.filter(username=identity).first()
    return user is not None and bool(roles_of(user) & VERBS[verb])


def user_actor(user: "User") -> Actor:
    """The actor for somebody who signed in."""
    return Actor("user", user.get_username(), roles_of(user), person=user.get_username())


def token_actor(token: ApiToken) -> Actor:
    """The actor for a valid token (`access.tokens.authenticate` has checked it)."""
    owner = token.owner
    person = owner.get_username() if owner else ""
    maker = maker_of(token) if owner else ""
    roles = roles_of(owner) if owner else frozenset()
    if owner is None and token.binding is not None:  # a workflow that nobody here started: no more than the shell can
        roles, maker = frozenset({_O}), identity_in(token.binding.created_by)
    return Actor(
        "token",
        token.name,
        roles,
        frozenset(Scope(scope) for scope in token.scopes),
        person=person,
        environment_id=token.environment_id,
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
    usable = {scope for verb, scope in SCOPES.items() if roles & VERBS[verb]}
    return frozenset(usable | {Scope.METRICS}) if roles else frozenset()


def may(actor: Actor, verb: str, environment: Environment | None = None) -> bool:
    """Whether `require` would let `actor` pass."""
    return refusal(actor, verb, environment) is None


def require(actor: Actor, verb: str, environment: Environment | None = None) -> None:
    """Raise NotAllowed, saying which role or scope is missing, unless `actor` may do `verb`.

    Raises NotInCharge where the verb changes something and the portal has moved.
    """
    require_role(actor, verb, environment)
    if verb not in read_only.READING:
        read_only.refuse_change()


def require_role(actor: Actor, verb: str, environment: Environment | None = None) -> None:
    """The same wherever the portal stands: for what moves it, and for putting a backup in its place."""
    if why := refusal(actor, verb, environment):
        raise NotAllowed(why[0], hint=why[1])


def refusal(actor: Actor, verb: str, environment: Environment | None) -> tuple[str, str] | None:
    """Why not, as sentence and hint; None when allowed."""
    what = verb.replace("_", " ")
    if actor.kind == "system":
        return (f"The system may not {what}.", "Let a person do it.") if verb in NEEDS_A_PERSON else None
    if actor.kind == "shell":
        return _shell_refusal(verb, what, environment)
    if actor.scopes is not None:
        scope = SCOPES.get(verb)
        if scope is None or scope not in actor.scopes:
            wanted = f"the scope {scope.value}" if scope else "a signed-in person"
            return f"The token {actor.name} may not {what}.", f"This needs {wanted}."
        if actor.environment_id and environment and actor.environment_id != environment.pk:
            return f"The token {actor.name} is not for {environment}.", "Make a token for this environment."
        if actor.maker and _shell_refusal(verb, what, environment):
            return _made_by_another(actor, what)
    if not actor.roles & VERBS[verb]:
        wanted = " or ".join(sorted(role.value for role in VERBS[verb]))
        return f"{actor} may not {what}.", f"Ask an administrator for the role {wanted}."
    return None


def _made_by_another(actor: Actor, what: str) -> tuple[str, str]:
    if not actor.person:
        return (
            f"Nobody here is known to have started the run of {actor.name}: it may not {what}.",
            "Whoever pushes links their account on GitHub to theirs here; a run that was started again is nobody's.",
        )
    return (
        f"The token {actor.name} of {actor.person} was made by {actor.maker}: it may not {what}.",
        f"What needs a person takes a token that the person made: let {actor.person} make one.",
    )


def _shell_refusal(verb: str, what: str, environment: Environment | None) -> tuple[str, str] | None:
    if verb in NEEDS_A_PERSON:
        return f"The shell alone may not {what}.", "Give a token (PORTAL_TOKEN_FILE) or sign in when asked."
    if verb in SHELL_EVERYWHERE:
        return None
    if environment is not None and environment.protected:
        return (
            f"{environment} is protected: the shell alone may not {what} there.",
            "Give a token (PORTAL_TOKEN_FILE) or sign in when asked.",
        )
    return None
