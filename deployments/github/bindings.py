"""Which workflows get a token here, and what it may do: bound by an administrator, ended, never edited."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.tokens import revoke
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.selectors import environment_named, environments_called
from deployments.core.texts import checked
from deployments.github.identity import WorkflowIdentity
from deployments.models import ApiToken, Environment, Scope, WorkflowBinding
from engine.errors import InvalidRequest

SCOPES = (Scope.READ, Scope.RELEASE, Scope.DEPLOY)
"""Whoever holds the token must not be able to approve."""


@transaction.atomic
def bind_workflow(
    *,
    actor: Actor,
    name: str,
    repository: str,
    repository_id: int,
    ref: str,
    github_environment: str,
    scopes: Iterable[Scope],
    workflow: str = "",
    environment: Environment | None = None,
) -> WorkflowBinding:
    """Let runs with exactly these claims have a token with these scopes. Raises NotAllowed, InvalidRequest."""
    require(actor, Verb.MANAGE_TOKENS, environment)
    chosen = sorted({Scope(scope).value for scope in scopes})
    if not chosen or set(chosen) - set(SCOPES):
        raise InvalidRequest("A workflow may get these scopes.", hint=f"Choose from {', '.join(SCOPES)}.")
    binding = WorkflowBinding(
        name=checked(name, what="A name", limit=100),
        repository=repository,
        repository_id=repository_id,
        ref=ref,
        github_environment=checked(github_environment, what="An environment", limit=255),
        workflow=checked(workflow, what="A workflow", limit=250),
        environment=environment,
        scopes=chosen,
        created_by=str(actor),
    )
    try:
        binding.full_clean()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was bound.") from error
    binding.save()
    told = ("name", "repository", "repository_id", "ref", "github_environment", "workflow", "scopes")
    _record(actor, binding, "workflow.bound", {each: getattr(binding, each) for each in told})
    return binding


@transaction.atomic
def end_binding(*, actor: Actor, binding: WorkflowBinding) -> None:
    """No run gets a token by it any more, and those that some got end; doing it twice changes nothing."""
    require(actor, Verb.MANAGE_TOKENS, binding.environment)
    WorkflowBinding.objects.select_for_update(of=("self",)).get(pk=binding.pk)  # an exchange under way ends first
    if WorkflowBinding.objects.filter(pk=binding.pk, ended_at=None).update(ended_at=timezone.now()):
        _record(actor, binding, "workflow.unbound", {"name": binding.name, "repository": binding.repository})
        for token in ApiToken.objects.filter(binding=binding, revoked_at=None).select_related("owner", "environment"):
            revoke(actor, token)


def binding_for(identity: WorkflowIdentity, environment: str) -> WorkflowBinding | None:
    """The binding that all of a run's claims fit, locked; one for that environment before one for every."""
    rows = WorkflowBinding.objects.filter(
        repository_id=identity.repository_id,
        repository=identity.repository,
        github_environment=identity.environment,
        ended_at=None,
    )
    rows = rows.select_for_update(of=("self",)).select_related("environment")
    meant = set(environments_called(environment).values_list("pk", flat=True)) | {None}
    fitting = [row for row in rows if _fits(row, identity) and (not environment or row.environment_id in meant)]
    if len({row.environment_id for row in fitting} - {None}) > 1 and environment:
        environment_named(environment)  # of several applications: the run says which
    return min(fitting, key=lambda row: (row.environment is None, row.pk), default=None)


def _fits(binding: WorkflowBinding, identity: WorkflowIdentity) -> bool:
    """Ref and workflow. Only tags end in a star, which stands for a rest without a slash."""
    stem, star, _ = binding.ref.partition("*")
    rest = identity.ref.removeprefix(stem)
    ref = "/" not in rest and rest != identity.ref if star else identity.ref == binding.ref
    return ref and binding.workflow in ("", identity.workflow)


def _record(actor: Actor, binding: WorkflowBinding, name: str, data: dict[str, object]) -> None:
    trail.record(
        actor=actor, name=name, subject=f"workflow:{binding.pk}", environment=binding.environment or "", data=data
    )
