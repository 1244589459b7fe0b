"""What an empty list says: what would stand there, how it comes there, and the way to it for those who may."""

from dataclasses import dataclass

from django.urls import reverse

from deployments.access.policy import may_somewhere
from deployments.access.team import whom_to_ask
from deployments.access.verbs import Verb
from deployments.core.actors import Actor


@dataclass(frozen=True)
class Way:
    """A button: its address, or the name of one, and what one has to be allowed to do for it to be there."""

    label: str
    to: str
    verb: Verb = Verb.VIEW

    @property
    def address(self) -> str:
        """Where it leads."""
        return self.to if self.to.startswith("/") else reverse(self.to)


@dataclass(frozen=True)
class EmptyList:
    """A sentence, the ways from there, and who may go them where this person may not."""

    sentence: str
    ways: tuple[Way, ...] = ()
    who: str = ""


_ENVIRONMENTS = Way("Environments", "admin:deployments_environment_changelist")
TABLE: dict[str, EmptyList] = {
    "deployments.deployment": EmptyList(
        "A deployment puts a release on the servers of an environment.",
        (Way("Environments", _ENVIRONMENTS.to, Verb.REQUEST), Way("First steps", "start")),
    ),
    "deployments.release": EmptyList(
        "A release is built of one commit: by a command beside the portal, by a push to a repository, or by a pipeline "
        "that uploads it.",
        (
            Way("Let pushes build", "admin:deployments_pushsource_add", Verb.MANAGE_TOKENS),
            Way("By a command", "/docs/command-line/#build_release"),
            Way("By a pipeline", "/docs/github/"),
        ),
    ),
    "deployments.server": EmptyList(
        "A server runs the releases of one environment. Its address is enough to begin with.",
        (Way("Add a server", "admin:deployments_server_add", Verb.ENROL),),
    ),
    "deployments.environment": EmptyList(
        "An environment is where releases of one application run.",
        (Way("Add an environment", "admin:deployments_environment_add", Verb.MANAGE_ENVIRONMENTS),),
    ),
    "deployments.operation": EmptyList(
        "What is done to a running service beside deploying, a restart or a restored backup, is asked for on the page "
        "of its server.",
        (Way("Servers", "admin:deployments_server_changelist"),),
    ),
    "deployments.push": EmptyList(
        "What repositories tell of their pushes stands here, as soon as a push source takes it.",
        (Way("Add a push source", "admin:deployments_pushsource_add", Verb.MANAGE_TOKENS),),
    ),
    "deployments.pushsource": EmptyList(
        "A push source takes what a repository tells of its pushes: what was pushed is built, and asked for.",
        (Way("Add a push source", "admin:deployments_pushsource_add", Verb.MANAGE_TOKENS),),
    ),
    "deployments.policychange": EmptyList(
        "Whoever asks for fewer approvals waits here for a second person. It is asked for on the page of an "
        "environment.",
        (_ENVIRONMENTS,),
    ),
    "deployments.apitoken": EmptyList(
        "With a token a program may do a part of what you may.",
        (Way("Make an API token", "admin:deployments_apitoken_add", Verb.OWN_TOKEN),),
    ),
    "deployments.signingkey": EmptyList(
        "A key of your own signs your approvals; a passkey signs you in, too.",
        (Way("Your account", "admin:account", Verb.OWN_KEY),),
    ),
    "deployments.workflowbinding": EmptyList(
        "A workflow on GitHub that is bound gets a token for its run, and keeps none.",
        (Way("Bind a workflow", "admin:deployments_workflowbinding_add", Verb.MANAGE_TOKENS),),
    ),
    "deployments.notificationchannel": EmptyList(
        "Without a channel, deployments and locks are told of on these pages alone. Mail, Slack, a webhook: whatever "
        "Apprise knows.",
        (Way("Add a channel", "admin:deployments_notificationchannel_add", Verb.CONFIGURE),),
    ),
    "deployments.notificationdelivery": EmptyList(
        "Every message that a channel was given stands here. The page of a channel sends a test.",
        (Way("Channels", "admin:deployments_notificationchannel_changelist"),),
    ),
    "deployments.clusterbeat": EmptyList(
        "No worker was heard yet, and nothing is deployed without one. make run starts them; on a server systemd does.",
        (Way("When nothing moves", "/docs/runbook/#queuestuck"),),
    ),
    "django_q.ormq": EmptyList("No task waits."),
    "django_q.success": EmptyList("No task has ended yet."),
    "django_q.failure": EmptyList("No task has failed."),
    "django_q.schedule": EmptyList("Nothing is scheduled: the workers write their schedules when they start."),
    "axes.accessattempt": EmptyList("Nobody is locked out."),
}


def empty_list(model: str, actor: Actor) -> EmptyList | None:
    """Of a model (`deployments.server`), as `actor` may; None where there is nothing to say."""
    known = TABLE.get(model)
    if known is None:
        return None
    ways = tuple(way for way in known.ways if may_somewhere(actor, way.verb))
    kept = known.ways and known.ways[0] not in ways
    return EmptyList(known.sentence, ways, whom_to_ask(known.ways[0].verb) if kept else "")
