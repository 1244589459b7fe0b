"""`Idempotency-Key`: asking twice does one thing.

A key is kept for a day, in the database: whichever machine of the portal a request reaches knows it. A lock makes
simultaneous requests wait for the first one. The row is begun before anything is done and completed after; when a
process died or something broke in between, `recover` is asked what the first request left behind, so that even then
nothing is done twice. A refusal alone leaves no row.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from deployments.core.exclusive import exclusively
from deployments.http.auth import token_of
from deployments.models import IdempotencyKey
from engine.errors import Conflict, InvalidRequest, PortalError

HEADER = "Idempotency-Key"
KEPT = timedelta(days=1)
_LONGEST = 200
M = TypeVar("M", bound=Model)


def once(
    request: HttpRequest,
    asked: dict[str, Any],
    *,
    do: Callable[[], M],
    recover: Callable[[float], M | None],
    load: Callable[[int], M],
) -> M:
    """Run `do`, or return what it made when this key was used before.

    `asked` is the request in comparable form: the same key with another request raises Conflict. `recover` gets the
    time (Unix seconds) at which an unfinished first request began. `load` reads a row by its number.
    """
    key = request.headers.get(HEADER, "")
    if not key:
        return do()
    if len(key) > _LONGEST or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"{HEADER} may have {_LONGEST} printable ASCII characters.", hint="Use a UUID.")
    name = hashlib.sha256(f"{token_of(request).pk}:{key}".encode()).hexdigest()
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    with exclusively(f"idempotency:{name}"):
        return _answered(name, digest, do, recover, load)


def _answered(
    name: str, digest: str, do: Callable[[], M], recover: Callable[[float], M | None], load: Callable[[int], M]
) -> M:
    now = timezone.now()
    IdempotencyKey.objects.filter(began_at__lt=now - KEPT).delete()
    known = IdempotencyKey.objects.filter(key=name).first()
    if known is None:
        known = IdempotencyKey.objects.create(key=name, request=digest, began_at=now)
        try:
            made = do()
        except PortalError:
            known.delete()  # refused: nothing was done, and asking again is a new question
            raise
    elif known.request != digest:
        raise Conflict(
            f"This {HEADER} was used for another request.", hint="Use a new key.", reason="idempotency_key_reused"
        )
    elif known.made is not None:
        return load(known.made)
    else:
        made = recover(known.began_at.timestamp()) or do()
    _complete(name, made)
    return made


def _complete(name: str, made: Model) -> None:
    IdempotencyKey.objects.filter(key=name).update(made=made.pk)
