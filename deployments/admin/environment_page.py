"""An environment's page: how it stands, what may be done, and its policy and configuration in words."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from deployments.access.policy import may, refusal
from deployments.access.verbs import Verb
from deployments.admin import event_display
from deployments.admin.actors import actor_of
from deployments.core.actors import Actor
from deployments.core.texts import plural
from deployments.environments.stored_secrets import stored_secrets
from deployments.environments.undeployed import undeployed_settings
from deployments.models import Deployment, Environment, PolicyChange, Server
from deployments.requests.environment_status import environment_statuses
from deployments.requests.inbox import inbox
from deployments.requests.rollback_targets import all_in_quarantine

RECENT = 8
IN_A_CARD = ("secret", "policy")
"""Actions that stand with what they change."""
AT_THE_END = ("rename", "retire")


def environment_page(request: HttpRequest, environment: Environment, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template shows; `actions` are those that this person is offered."""
    actor = actor_of(request)
    standing = environment_statuses([environment])[environment.pk]
    rows = (
        Deployment.objects.with_taken_back().filter(environment=environment).select_related("release").defer("snapshot")
    )
    quarantined = {} if standing.way_back else all_in_quarantine([environment], {environment.pk: standing.live})
    return {
        "environment": environment,
        "standing": standing,
        "why_none": quarantined.get(environment.pk, "none yet"),
        "portal_actions": [one for one in actions if one["slug"] not in (*IN_A_CARD, *AT_THE_END)],
        "last_actions": [one for one in actions if one["slug"] in AT_THE_END],
        "policy_action": [one for one in actions if one["slug"] == "policy"],
        "secret_action": [{**one, "tone": "plain"} for one in actions if one["slug"] == "secret"],
        "may_not": _may_not(actor, environment),
        "gives_roles": may(actor, Verb.MANAGE_PEOPLE),
        "waiting": inbox(actor, environment),
        "policy_changes": PolicyChange.objects.filter(environment=environment, state=PolicyChange.State.WAITING),
        "servers": _servers(environment),
        "add_server": _add_server(actor, environment),
        "recent": list(rows.order_by("-id")[:RECENT]),
        "policy": policy_in_words(environment),
        "configuration": [(name, sorted(values)) for name, values in sorted(environment.configuration.items())],
        "undeployed": undeployed_settings(environment, standing.live),
        "configuration_text": event_display.pretty(environment.configuration),
        "secrets": stored_secrets(environment),
        "may_configure": may(actor, Verb.CONFIGURE, environment),
        "settings_url": reverse("admin:deployments_environment_settings", args=[environment.pk]),
    }


def policy_in_words(environment: Environment) -> list[str]:
    """What governs a deployment there, one sentence each."""
    return [_approvals(environment), _origin(environment), _rounds(environment), _bake(environment)]


def _approvals(environment: Environment) -> str:
    if not environment.protected:
        return "A deployment needs no approval: it is queued at once."
    kind = "signed approval" if environment.signed_approvals else "approval"
    return (
        f"A deployment needs {plural(environment.approvals_required, kind)} by somebody else, within "
        f"{plural(environment.approval_hours, 'hour')}. A rollback needs none."
    )


_ORIGIN: dict[str, str] = {
    Environment.ReleasesFrom.COMMITS: "Any release, builds of a commit too (1.4.0+g3f2a91c).",
    Environment.ReleasesFrom.VERSIONS: "Only releases with a version of their own, no builds of a commit.",
    Environment.ReleasesFrom.TAGS: "Only releases from tags: the commit has the tag of its version.",
}


def _origin(environment: Environment) -> str:
    return _ORIGIN[environment.releases_from]


def _rounds(environment: Environment) -> str:
    first = f"The first server is the canary, then {environment.batch} at a time"
    if not environment.max_failures:
        return f"{first}; if one fails, all go back."
    most = plural(environment.max_failures, "server")
    return f"{first}; {most} may fail and stay as they were. If the canary or one more fails, all go back."


def _bake(environment: Environment) -> str:
    if not environment.bake_seconds:
        return "Alerts after a success change nothing."
    then = "rolls it back" if environment.bake_action == Environment.BakeAction.ROLLBACK else "locks the environment"
    minutes, seconds = divmod(environment.bake_seconds, 60)
    length = plural(minutes, "minute") if not seconds else f"{environment.bake_seconds} s"
    return f"A new critical alert within {length} of a success {then}."


def _servers(environment: Environment) -> list[Server]:
    in_service = environment.servers.exclude(state=Server.State.RETIRED)
    return list(in_service.select_related("current_release").order_by("order", "name"))


def _add_server(actor: Actor, environment: Environment) -> str:
    if environment.retired or not may(actor, Verb.ENROL, environment):
        return ""
    return f"{reverse('admin:deployments_server_add')}?environment={environment.pk}"


def _may_not(actor: Actor, environment: Environment) -> str:
    """Who deploys there, for somebody who does not; empty for those who do."""
    why = None if environment.retired else refusal(actor, Verb.REQUEST, environment)
    if why is None:
        return ""
    if may(actor, Verb.MANAGE_PEOPLE):
        return "You do not deploy or roll back here: that takes the role operator."
    return f"You do not deploy or roll back here. {why[1]}"
