"""A workflow's signed identity for a token of minutes (RFC 8693, in our words)."""

import hashlib
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.access.policy import usable_scopes
from deployments.access.tokens import store_token
from deployments.core.actors import Actor, identity_in
from deployments.github.bindings import binding_for
from deployments.github.identity import WorkflowIdentity, identity_of
from deployments.http.problems import Unauthenticated
from deployments.models import ApiToken, GitHubAccount, WorkflowBinding
from deployments.models.encryption import SecretText
from engine.errors import NotAllowed

MINUTES = 20
"""As long as a job of ours may take: it follows its deployment to the end."""
KEPT = timedelta(days=1)
"""How long exchanged tokens stay listed after their end: an identity is refused by its age long before."""


def exchange(*, text: str, environment: str = "") -> tuple[ApiToken, SecretText]:
    """The token for a run whose identity `text` is, with what its binding allows, for `environment` where named.

    Where the account on GitHub that started the run is a person's here, as somebody else has confirmed, the token is
    theirs, and so is what is asked with it, for four eyes. Otherwise it belongs to nobody: it can do no more than the
    shell can, and answers for whoever made the binding.
    Raises Unauthenticated (the identity), NotAllowed (no binding, no role), IssuerUnreachable.
    """
    identity = identity_of(text)
    spent = hashlib.sha256(identity.number.encode(errors="surrogatepass")).hexdigest()
    try:
        with transaction.atomic():
            ApiToken.objects.filter(expires_at__lt=timezone.now() - KEPT).exclude(exchanged_for=None).delete()
            return _issue(identity, _binding(identity, environment), spent)
    except IntegrityError as error:  # the one column that two tokens could share, whichever process was first
        raise Unauthenticated(
            "The identity was exchanged before.", hint="Ask GitHub for another one.", reason="identity_replayed"
        ) from error


def _binding(identity: WorkflowIdentity, environment: str) -> WorkflowBinding:
    binding = binding_for(identity, environment)
    if binding is None:
        there = f"{identity.repository} at {identity.ref} in the environment {identity.environment or '(none)'}"
        raise NotAllowed(
            f"No binding fits {there}{f' for {environment}' if environment else ''}.",
            hint="An administrator binds workflows in the control room (Workflows): every claim must be equal.",
            reason="not_bound",
        )
    return binding


def _issue(identity: WorkflowIdentity, binding: WorkflowBinding, spent: str) -> tuple[ApiToken, SecretText]:
    account = GitHubAccount.of(identity.actor_id)
    owner = account.person if account else None
    if owner is not None and not owner.is_active:
        raise NotAllowed(f"The account of {owner.get_username()}, who started this run, is switched off.")
    # somebody else may have started it again, or made it start; or the account may be somebody else's
    if not identity.acted or (account is not None and not account.counts):
        owner = None
    scopes = [scope for scope in binding.scopes if owner is None or scope in usable_scopes(owner)]
    if not scopes:
        raise NotAllowed(f"{owner} has no role that could use {' or '.join(binding.scopes)}.", hint="Ask for one.")
    name = f"github:{identity.actor}:{identity.repository}"[:100]
    return store_token(
        actor=Actor("token", name, person=owner.get_username() if owner else ""),
        token=ApiToken(
            name=name,
            owner=owner,
            environment=binding.environment,
            scopes=scopes,
            expires_at=timezone.now() + timedelta(minutes=MINUTES),
            created_by=identity_in(binding.created_by),
            binding=binding,
            exchanged_for=spent,
        ),
        binding=str(binding.pk),
        run=f"{identity.repository}/actions/runs/{identity.run}",
    )
