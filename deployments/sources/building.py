"""What comes of a push: its commit is fetched and built, and its deployment asked for where the environment follows it.

Whoever pushed is who asks: by their account on GitHub that they have linked here. What nobody here is known to have
pushed can do no more than the shell can, so it deploys to no environment that needs approvals. Four eyes counts the
maker of the source too, who knows its secret and could say that anybody had pushed.
"""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import applications_of, roles_of
from deployments.core import queueing
from deployments.core.actors import MAX_ACTOR, PUSH_MARK, TOKEN_MARK, Actor, identity_in
from deployments.core.texts import one_line
from deployments.models import (
    Application,
    AuditEvent,
    Deployment,
    Environment,
    GitHubAccount,
    Push,
    PushSource,
    Release,
    Role,
    Scope,
)
from deployments.releases.builds import build_release
from deployments.requests.requests import request_deployment
from deployments.sources.receiving import PUSHED, signed_of
from deployments.sources.registry import alone, mirror
from engine.artifacts.fetching import fetch
from engine.artifacts.git import Repository
from engine.errors import EnvironmentBusy, InvalidRequest, PortalError

logger = logging.getLogger(__name__)
TAKEN_FOR = timedelta(minutes=30)
"""After so long whoever builds it is dead: a worker is given up long before."""
BUSY_SECONDS, WAITED_FOR = 20.0, timedelta(hours=1)
_SCOPES = frozenset({Scope.RELEASE, Scope.DEPLOY})


class Outdated(PortalError):
    """The ref is at another commit by now, which has a push of its own; an old push sent again changes nothing."""

    reason = "push_outdated"


def build_push(*, number: int) -> str:
    """Build a push and ask for its deployment; the state it ends in, or why not. Safe to run again."""
    rows = Push.objects.filter(state=Push.State.QUEUED, pk=number)
    if not rows.update(state=Push.State.BUILDING, taken_at=timezone.now()):
        return "not taken"
    push = Push.objects.select_related("source__environment").get(pk=number)
    try:
        deployment = _asked(push)
    except EnvironmentBusy as error:
        return _later(push, error)
    except PortalError as error:
        outdated = isinstance(error, Outdated)
        return _end(push, Push.State.IGNORED if outdated else Push.State.FAILED, error.said)
    except BaseException:
        _end(push, Push.State.FAILED, "It broke off; the worker's log says why.")
        raise
    status = deployment.get_status_display().lower()
    return _end(push, Push.State.REQUESTED, f"Deployment {deployment.pk} is {status}.", deployment=deployment)


def end_lost() -> int:
    """Say of pushes whose worker died that nothing came of them; how many there were."""
    lost = Push.objects.filter(state=Push.State.BUILDING, taken_at__lt=timezone.now() - TAKEN_FOR)
    sentence = "Its worker ended in the middle. Push again, or build and deploy by hand."
    return lost.update(state=Push.State.FAILED, sentence=sentence, ended_at=timezone.now())


def actor_of(push: Push) -> Actor:
    """Who asks for it."""
    source, person = push.source, _pusher(push)
    name, maker = f"{PUSH_MARK}{source.name}", identity_in(source.created_by)
    limits: dict[str, Any] = {"scopes": _SCOPES, "environment_id": source.environment_id}
    home = source.environment.application
    within = frozenset({home}) if home else None  # a repository builds what its environment runs, and nothing else
    limits["applications"] = within
    if person is None or len(f"{person.get_username()}{TOKEN_MARK}{name}") > MAX_ACTOR:
        return Actor("token", name, frozenset({Role.OPERATOR}), maker=maker, **limits)
    theirs = applications_of(person)
    if theirs is not None:
        limits["applications"] = theirs if within is None else within & theirs
    return Actor("token", name, roles_of(person), person=person.get_username(), **limits)


def _pusher(push: Push) -> User | None:
    """Whose account on GitHub pushed: as the trail has it of the signed delivery, and as it is confirmed still."""
    if not push.person:
        return None
    events = AuditEvent.objects.filter(name=PUSHED, subject=f"source:{push.source.name}", data__push=push.pk)
    known = signed_of(push) in list(events.values_list("data", flat=True)[:20])
    account = GitHubAccount.objects.filter(person__username=push.person).select_related("person").first()
    return account.person if known and account is not None and account.counts else None


def _asked(push: Push) -> Deployment:
    source, actor = push.source, actor_of(push)
    environment = Environment.objects.get(pk=source.environment_id)
    release = _built(push, actor, environment)
    Push.objects.filter(pk=push.pk).update(release=release)
    by = f" by {push.pushed_by}" if push.pushed_by else ""
    reason = one_line(f"Push of {push.commit[:10]} to {push.ref}{by}")[:500]
    return request_deployment(actor=actor, release=release, environment=environment, reason=reason)


def _built(push: Push, actor: Actor, environment: Environment) -> Release:
    source = PushSource.objects.get(pk=push.source_id)
    if source.ended_at is not None:
        raise Outdated(f"The push source {source} has ended.")
    with alone(source):
        fetch(source.url, push.ref, mirror(source), access_token=str.__str__(source.access_token))
        _refuse_outdated(push, source)
        by_commit = push.ref.startswith("refs/heads/") and environment.releases_from == Environment.ReleasesFrom.COMMITS
        accept = partial(_refuse_others_name, environment)
        return build_release(actor=actor, source=mirror(source), ref=push.ref, by_commit=by_commit, accept=accept)[0]


def _refuse_others_name(environment: Environment, application: str) -> None:
    """What a repository calls itself is its own word: an application that has environments is theirs to release."""
    if not environment.application and Application.objects.filter(name=application).exists():
        raise InvalidRequest(
            f"{environment} belongs to no application yet, and {application} is one that other environments run.",
            hint=f"Provision a server of {environment} with a release of {application} first; or an environment made "
            f"for it: `manage.py environments add {application}/NAME`.",
            reason="other_application",
        )


def _refuse_outdated(push: Push, source: PushSource) -> None:
    repository = Repository(mirror(source), "", bare=True)
    tip = repository.commit(push.ref)
    # of an annotated tag its own object is told, and not the commit
    if push.commit not in (tip, repository.object_at(push.ref)):
        raise Outdated(f"{push.ref} is at {tip[:10]} by now: this push is not built.")


def _later(push: Push, error: EnvironmentBusy) -> str:
    if timezone.now() - push.received_at > WAITED_FOR:
        return _end(push, Push.State.FAILED, f"Given up after an hour. {error.said}")
    with transaction.atomic():
        Push.objects.filter(pk=push.pk).update(state=Push.State.QUEUED, sentence=f"It waits. {error.message}"[:500])
        queueing.enqueue_build(push.pk, after=BUSY_SECONDS)
    return "later"


def _end(push: Push, state: Push.State, sentence: str, *, deployment: Deployment | None = None) -> str:
    Push.objects.filter(pk=push.pk).update(
        state=state, sentence=one_line(sentence)[:500], ended_at=timezone.now(), deployment=deployment
    )
    logger.info("push %s of %s: %s: %s", push.pk, push.source, state, sentence)
    return str(state)
