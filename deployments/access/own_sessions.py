"""Where somebody is signed in: listed and ended by their owner. What is shown lies in the session itself."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import one_line
from engine.errors import NotAllowed, NotFound

_ABOUT = "_signed_in"
_RESOLUTION = timedelta(minutes=5)
_LONGEST_AGENT = 200


@dataclass(frozen=True)
class SignedIn:
    """One session; `identifier` names it and opens nothing."""

    identifier: str
    address: str
    agent: str
    since: datetime | None
    seen: datetime | None
    current: bool
    by: str

    @property
    def device(self) -> str:
        """Browser and system as a browser says them: `Firefox on Linux`; what it said where that is neither."""
        browser = next((name for mark, name in _BROWSERS if mark in self.agent), "")
        system = next((name for mark, name in _SYSTEMS if mark in self.agent), "")
        return " on ".join(filter(None, (browser, system))) or self.agent or "A browser that did not say which"


_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
"""In this order: each calls itself by the names of those after it, too."""
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


ON_THE_WAY = 600
"""Seconds."""
FRESH = timedelta(minutes=15)
"""For so long after a sign-in its owner may change how they sign in."""


def begin(request: HttpRequest, address: str) -> None:
    """Note in a session that has just begun where it is from; it lasts as long as it would, however often noted in."""
    now = timezone.now()
    agent = one_line(request.headers.get("User-Agent", ""))[:_LONGEST_AGENT]
    request.session[_ABOUT] = {
        "address": address,
        "agent": agent,
        "by": how(request),
        "since": now.isoformat(),
        "seen": now.isoformat(),
    }
    request.session.set_expiry(now + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def begin_for_a_stranger(request: HttpRequest) -> None:
    """Who is on the way in has a session for a few minutes; anybody can ask for one, so none lies there for long."""
    if not request.user.is_authenticated:
        request.session.set_expiry(ON_THE_WAY)


def forget_ended() -> int:
    """Delete the sessions that are over; returns how many."""
    return Session.objects.filter(expire_date__lt=timezone.now()).delete()[0]


def how(request: HttpRequest | None) -> str:
    """What somebody is signing in with, as the page that lets them in has noted; a password where it has not."""
    return str(getattr(request, "signed_in_by", "password"))


def refuse_stale(request: HttpRequest) -> None:
    """Raise NotAllowed unless this session began a short while ago: a browser left open changes no way in."""
    since = request.session.get(_ABOUT, {}).get("since")
    if not since or timezone.now() - datetime.fromisoformat(since) > FRESH:
        raise NotAllowed(
            "This takes a sign-in of the last quarter of an hour.",
            hint="Sign in again, then do it once more.",
            reason="sign_in_again",
        )


def seen(request: HttpRequest) -> None:
    """Note that a session is used, once in five minutes."""
    about = request.session.get(_ABOUT)
    now = timezone.now()
    if about and now - datetime.fromisoformat(about["seen"]) > _RESOLUTION:
        request.session[_ABOUT] = {**about, "seen": now.isoformat()}


def sessions_of(person: User, current_key: str | None) -> list[SignedIn]:
    """A person's valid sessions, the current one first, then as they were last used."""
    found = [_described(row, current_key) for row in _rows(person)]
    never = datetime.min.replace(tzinfo=timezone.get_default_timezone())
    return sorted(found, key=lambda one: (one.current, one.seen or never), reverse=True)


def end_session(*, actor: Actor, person: User, identifier: str) -> None:
    """End one of one's own sessions at once. Raises NotAllowed, NotFound (it has ended meanwhile)."""
    _own(actor, person)
    row = next((row for row in _rows(person) if _identifier(row.session_key) == identifier), None)
    if row is None:
        raise NotFound("There is no such session of yours any more.", hint="Look at the list again.")
    _end(actor, person, row)


def end_other_sessions(*, actor: Actor, person: User, current_key: str | None) -> int:
    """End all of one's own sessions but the current one; returns how many."""
    _own(actor, person)
    others = [row for row in _rows(person) if row.session_key != current_key]
    for row in others:
        _end(actor, person, row)
    return len(others)


def refuse_others(actor: Actor, person: User, *, what: str) -> None:
    """Raise NotAllowed unless it is the person who acts, signed in."""
    if actor.kind != "user" or actor.identity != person.get_username():
        raise NotAllowed(
            f"{what} is changed by whoever it belongs to.", hint="An administrator can recover the account."
        )


def _own(actor: Actor, person: User) -> None:
    require(actor, Verb.OWN_TOKEN)
    if actor.kind != "user" or actor.identity != person.get_username():
        raise NotAllowed("A session is ended by whoever it belongs to.", hint="An administrator can switch them off.")


def _rows(person: User) -> Iterator[Session]:
    """Sessions that still open something: of this person, not over, and begun with the password of today."""
    valid = person.get_session_auth_hash()
    for row in Session.objects.filter(expire_date__gte=timezone.now()):
        content = row.get_decoded()
        if content.get(SESSION_KEY) == str(person.pk) and constant_time_compare(
            content.get(HASH_SESSION_KEY, ""), valid
        ):
            yield row


@transaction.atomic
def _end(actor: Actor, person: User, row: Session) -> None:
    about = _described(row, None)
    row.delete()
    data = {"address": about.address, "agent": about.agent, "since": about.since}
    trail.record(actor=actor, name="person.session_ended", subject=f"person:{person.get_username()}", data=data)


def _described(row: Session, current_key: str | None) -> SignedIn:
    about = row.get_decoded().get(_ABOUT, {})
    since, last = (datetime.fromisoformat(about[name]) if name in about else None for name in ("since", "seen"))
    return SignedIn(
        identifier=_identifier(row.session_key),
        address=about.get("address", ""),
        agent=about.get("agent", ""),
        since=since,
        seen=last,
        current=row.session_key == current_key,
        by=about.get("by", ""),
    )


def _identifier(session_key: str) -> str:
    return hashlib.sha256(session_key.encode()).hexdigest()[:16]
