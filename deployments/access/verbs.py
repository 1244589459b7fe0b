"""What people and programs may do, each with who may: the table of docs/security.md, which a test reads."""

from dataclasses import dataclass
from enum import StrEnum

from deployments.models import Role, Scope

_V, _O, _A, _M = Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMINISTRATOR


@dataclass(frozen=True)
class Rule:
    """Who may do it.

    A token may do it with `scope`, its owner's roles narrowed; with None, no token may. `person`: neither the shell nor
    the system may, only somebody who signed in. `at_shell`: the shell may, also where an environment is protected: a
    person there holds the database already. `reads`: it changes nothing, and is done where the portal has moved away.
    `everywhere`: also where it names no application, somebody may whose roles hold in some only.
    """

    roles: frozenset[Role]
    scope: Scope | None = None
    person: bool = False
    at_shell: bool = False
    reads: bool = False
    everywhere: bool = False


def _by(
    *roles: Role,
    scope: Scope | None = None,
    person: bool = False,
    at_shell: bool = False,
    reads: bool = False,
    everywhere: bool = False,
) -> Rule:
    return Rule(frozenset(roles), scope, person, at_shell, reads, everywhere)


class Verb(StrEnum):
    """One thing that may be done, with its rule."""

    rule: Rule

    def __new__(cls, value: str, rule: Rule) -> "Verb":
        """The text itself, with the rule beside it."""
        verb = str.__new__(cls, value)
        verb._value_ = value
        verb.rule = rule
        return verb

    VIEW = "view", _by(_V, _O, _A, _M, scope=Scope.READ, at_shell=True, reads=True, everywhere=True)
    REQUEST = "request", _by(_O, scope=Scope.DEPLOY)
    CANCEL = "cancel", _by(_O, scope=Scope.DEPLOY)
    ROLL_BACK = "roll_back", _by(_O, scope=Scope.DEPLOY)
    VERIFY = "verify", _by(_O, scope=Scope.DEPLOY, at_shell=True)
    OPERATE = "operate", _by(_O, scope=Scope.OPERATE)
    READ_JOURNAL = "read_journal", _by(_O, scope=Scope.OPERATE, at_shell=True)
    RUN = "run", _by(_O, scope=Scope.RUN)
    RESTORE_DATA = "restore_data", _by(_M, scope=Scope.ADMINISTER)
    LOCK = "lock", _by(_O, scope=Scope.OPERATE)
    DRILL = "drill", _by(_O)
    BREAK_GLASS = "break_glass", _by(_O, person=True)
    ACKNOWLEDGE = "acknowledge", _by(_O, _A, scope=Scope.ALERTS)
    SILENCE = "silence", _by(_O, scope=Scope.ALERTS)
    MANAGE_INCIDENTS = "manage_incidents", _by(_O, _A, scope=Scope.ALERTS)
    APPROVE = "approve", _by(_A, scope=Scope.APPROVE, person=True)
    REVIEW = "review", _by(_A, scope=Scope.APPROVE, person=True)
    DECIDE_POLICY = "decide_policy", _by(_A, person=True)
    ADD_RELEASE = "add_release", _by(_O, _M, scope=Scope.RELEASE, at_shell=True, everywhere=True)
    CONFIGURE = "configure", _by(_M, scope=Scope.ADMINISTER)
    MANAGE_ENVIRONMENTS = "manage_environments", _by(_M, scope=Scope.ADMINISTER)
    ENROL = "enrol", _by(_M, scope=Scope.ADMINISTER)
    PROVISION = "provision", _by(_M, scope=Scope.ADMINISTER)
    DECOMMISSION = "decommission", _by(_M, scope=Scope.ADMINISTER)
    SET_SECRET = "set_secret", _by(_M, scope=Scope.ADMINISTER)
    ROTATE_KEYS = "rotate_keys", _by(_M, scope=Scope.ADMINISTER)
    MANAGE_TOKENS = "manage_tokens", _by(_M)
    OWN_TOKEN = "own_token", _by(_V, _O, _A, _M, person=True, everywhere=True)
    MANAGE_PEOPLE = "manage_people", _by(_M, person=True)
    OWN_KEY = "own_key", _by(_V, _O, _A, _M, person=True, everywhere=True)
    CONFIRM_KEY = "confirm_key", _by(_A, _M, person=True)
    READ_AUDIT = "read_audit", _by(_V, _O, _A, _M, scope=Scope.READ, at_shell=True, reads=True, everywhere=True)
    EXPORT_AUDIT = "export_audit", _by(_A, _M, scope=Scope.READ, at_shell=True, reads=True)
    BACK_UP = "back_up", _by(_M, scope=Scope.ADMINISTER, at_shell=True)
    PRUNE = "prune", _by(_M, scope=Scope.ADMINISTER, at_shell=True)
    MOVE_PORTAL = "move_portal", _by(_M, scope=Scope.ADMINISTER)

    @property
    def words(self) -> str:
        """For a sentence: "roll back"."""
        return self.value.replace("_", " ")


PERSONAL = frozenset(verb.rule.scope for verb in Verb if verb.rule.scope and not verb.rule.at_shell)
"""Scopes with a verb that needs a person, at least where an environment is protected."""
