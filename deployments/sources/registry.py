"""Which repositories may tell of pushes, and which environment follows which ref: made, ended, never edited."""

import fcntl
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.environments.guards import refuse_retired
from deployments.models import Environment, PushSource
from deployments.models.encryption import SecretText
from engine.errors import Conflict, InvalidRequest, NotFound

LONGEST_TOKEN = 500


@transaction.atomic
def make_source(
    *, actor: Actor, environment: Environment, name: str, kind: str, url: str, ref: str, access_token: str = ""
) -> PushSource:
    """Let a repository tell of pushes, and `environment` follow one ref of it. Its `secret` is shown this once.

    Raises NotAllowed, InvalidRequest, Conflict (the name is or was another's).
    """
    require(actor, Verb.MANAGE_TOKENS, environment)
    refuse_retired(environment)
    if len(access_token) > LONGEST_TOKEN or not access_token.isascii() or not access_token.isprintable():
        raise InvalidRequest(f"An access token has at most {LONGEST_TOKEN} printable characters.")
    source = PushSource(
        name=name,
        kind=kind,
        url=url,
        ref=ref,
        environment=environment,
        secret=SecretText(secrets.token_urlsafe(32)),
        access_token=access_token,
        created_by=str(actor),
    )
    if PushSource.objects.filter(name=name).exists():
        raise Conflict(
            f"There is, or was, a push source {name}.", hint="Choose another name.", reason="push_source_taken"
        )
    try:
        source.full_clean()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was made.") from error
    source.save()
    told = {each: getattr(source, each) for each in ("kind", "url", "ref")}
    _record(actor, source, "source.made", told | {"with_access_token": bool(access_token)})
    return source


def end_source(*, actor: Actor, source: PushSource) -> None:
    """Nothing is taken from it any more, and what was fetched is deleted; doing it twice changes nothing."""
    require(actor, Verb.MANAGE_TOKENS, source.environment)
    with transaction.atomic():
        rows = PushSource.objects.filter(pk=source.pk, ended_at=None)
        if rows.update(ended_at=timezone.now(), access_token=""):
            _record(actor, source, "source.ended", {"url": source.url, "ref": source.ref})
    with _lock(source) as file, suppress(BlockingIOError):  # who builds of it just now deletes it then
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(mirror(source), ignore_errors=True)


def address_of(source: PushSource) -> str:
    """Where its webhook delivers."""
    return f"{settings.PORTAL_URL.rstrip('/')}/api/v1/push/{source.name}"


def mirror(source: PushSource) -> Path:
    """Where its repository is fetched to, on this machine."""
    return Path(settings.STATE_DIR) / "sources" / f"{source.name}.git"


@contextmanager
def alone(source: PushSource) -> Iterator[None]:
    """Wait until nobody else on this machine fetches or builds of it, and keep others from it, for minutes maybe."""
    with _lock(source) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if PushSource.objects.filter(pk=source.pk).exclude(ended_at=None).exists():
                shutil.rmtree(mirror(source), ignore_errors=True)


def source_named(name: str) -> PushSource:
    """The source, ended ones too, or NotFound."""
    found = PushSource.objects.select_related("environment").filter(name=name).first()
    if found is None:
        raise NotFound(
            f"There is no push source {name!r}.", hint="`manage.py sources` lists them.", reason="unknown_push_source"
        )
    return found


def _lock(source: PushSource) -> IO[str]:
    """A file of its own: those of `core.exclusive` are shared, and held for a moment."""
    path = mirror(source).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.open("w")


def _record(actor: Actor, source: PushSource, name: str, data: dict[str, object]) -> None:
    trail.record(actor=actor, name=name, subject=f"source:{source.name}", environment=source.environment, data=data)
