"""Taking a webhook's delivery: each once, whatever it says written down, and what an environment follows queued."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.audit import trail
from deployments.core import queueing, read_only
from deployments.core.actors import system_actor
from deployments.models import GitHubAccount, Push, PushSource
from deployments.sources.webhooks import Told, proved, read_delivery
from engine.errors import NotAllowed

PUSHED = "source.pushed"
KEPT = 200
"""Pushes of a source that stay listed."""
_HOSTED = "token.actions.githubusercontent.com"


def receive_push(*, source: str, headers: Mapping[str, str], body: bytes) -> tuple[Push | None, bool]:
    """Take a delivery; None where it tells of no push. The second value says whether it was not taken before.

    Raises UnsignedPush, InvalidRequest, NotAllowed (another repository), NotInCharge.
    """
    rows = PushSource.objects.select_related("environment").filter(name=source, ended_at=None)
    found = proved(rows.first(), headers, body)
    read_only.refuse_change()
    told = read_delivery(found, headers, body)
    if not told.ref:
        return None, True
    if not _is_of(told.repository, found.url):
        raise NotAllowed(
            f"The push source {found} is of {urlsplit(found.url).path.strip('/')}, not of another repository.",
            hint="Each repository has a source of its own.",
            reason="other_repository",
        )
    try:
        with transaction.atomic():
            return _taken(found, told), True
    except IntegrityError:
        pushes = Push.objects.filter(source=found)
        known = pushes.filter(number=told.number).first() or pushes.filter(digest=told.digest).first()
        if known is None:
            raise
        return known, False


def _taken(source: PushSource, told: Told) -> Push:
    why = _why_not(source, told)
    push = Push.objects.create(
        source=source,
        number=told.number,
        digest=told.digest,
        ref=told.ref,
        commit=told.commit,
        pushed_by=told.pushed_by,
        person=_person(source, told.account),
        state=Push.State.IGNORED if why else Push.State.QUEUED,
        sentence=why,
        ended_at=timezone.now() if why else None,
    )
    if not why:
        trail.record(
            actor=system_actor("pushes"),
            name=PUSHED,
            subject=f"source:{source.name}",
            environment=source.environment,
            data=signed_of(push),
        )
        queueing.enqueue_build(push.pk)
    old = Push.objects.filter(source=source).exclude(ended_at=None).values_list("pk", flat=True)[KEPT:]
    Push.objects.filter(pk__in=list(old)).delete()
    return push


def signed_of(push: Push) -> dict[str, object]:
    """What its delivery said under the source's signature, as the trail has it: the row is asked by nobody."""
    return {"push": push.pk, "digest": push.digest, "ref": push.ref, "commit": push.commit, "person": push.person}


def _why_not(source: PushSource, told: Told) -> str:
    stem, star, _ = source.ref.partition("*")
    rest = told.ref.removeprefix(stem)
    follows = (rest != told.ref and "/" not in rest) if star else told.ref == source.ref
    if not follows:
        return f"{source.environment} follows {source.ref} alone."
    return "The ref was deleted." if told.deletes else ""


def _is_of(repository: str, url: str) -> bool:
    path = urlsplit(url).path.rstrip("/").removesuffix(".git").lower()
    return "/" in repository.strip("/") and path.endswith(f"/{repository.strip('/').lower()}")


def _person(source: PushSource, account: int) -> str:
    """Whose confirmed account on GitHub pushed; empty where it is nobody's. Numbers of other hosts mean nothing."""
    issuer = urlsplit(settings.GITHUB_ISSUER).hostname
    host = "github.com" if issuer == _HOSTED else issuer
    if source.kind != PushSource.Kind.GITHUB or not account or urlsplit(source.url).hostname != host:
        return ""
    found = GitHubAccount.of(account)
    return found.person.get_username() if found is not None and found.counts else ""
