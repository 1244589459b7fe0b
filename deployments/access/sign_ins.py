"""Signing in and out, in the audit trail. Django tells of it by signals only."""

import ipaddress
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from axes.signals import user_locked_out
from django.conf import settings
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from deployments.access import own_sessions, second_factor
from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.models import AuditEvent
from engine.errors import NotAllowed

LOCKED_OUT = "person.locked_out"
FAILED = "person.sign_in_failed"
FAILURES_OF_A_NAME = 50
"""From all addresses together, within the time of a lock-out."""
RECORDED_FAILURES = 20
"""Of one name within the time of a lock-out: guesses must not be what the trail consists of."""
UNKNOWN = "(no such account)"
"""What the record says instead of a name nobody has: people type passwords into the wrong field."""


def connect() -> None:
    """Listen; called once by the app configuration."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit-signed-in")
    user_logged_out.connect(_signed_out, dispatch_uid="audit-signed-out")
    user_login_failed.connect(_failed, dispatch_uid="audit-sign-in-failed")
    user_locked_out.connect(_locked_out, dispatch_uid="audit-locked-out")


def sign_in_at_terminal(*, username: str, password: str, login: str, ask_code: Callable[[], str]) -> User:
    """The person behind a name and password typed into a management command by the account `login` of this machine.

    Whoever has a second factor is asked for a code of their app, or a recovery code. Counts towards lock-out like any
    sign-in. Raises NotAllowed.
    """
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "127.0.0.1"
    request.path = request.path_info = f"/terminal/{login}"
    user = authenticate(request, username=username, password=password, first_step=True)
    if isinstance(user, User) and second_factor.is_needed(user):
        user = authenticate(request, username=username, code=ask_code())
    if not isinstance(user, User):
        raise NotAllowed(
            "User name, password and code do not match, or the account is locked.",
            hint="After five failures it is locked for a quarter of an hour; an administrator can let you in again.",
        )
    trail.record_alone(
        actor=Actor("user", user.get_username(), person=user.get_username()),
        name="person.signed_in",
        subject=f"person:{user.get_username()}",
        address=f"terminal of {login}",
    )
    return user


def client_address(request: HttpRequest | None) -> str:
    """Where a request came from, for lock-out and record: behind a proxy that is believed, what the proxy says.

    Believed are those on this machine (or a unix socket) and in `PROXIES`: anybody else could write that header.
    """
    if request is None:
        return ""
    direct = str(request.META.get("REMOTE_ADDR") or "")
    if direct not in ("", "127.0.0.1", "::1", *settings.PROXIES):
        return direct
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR") or "").rpartition(",")[2].strip()
    return forwarded or direct


def counted_address(request: HttpRequest | None) -> str:
    """What counts as one visitor: an IPv4 address, or the /64 of an IPv6 one, of which everybody has very many.

    Empty when there is no address that could be counted.
    """
    try:
        address = ipaddress.ip_address(client_address(request).partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


class LockOut(AxesDatabaseHandler):  # type: ignore[misc]  # published without types
    """django-axes' lock-out by name and address, and one by name alone, wherever the guesses come from."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Failures of this name from this address; as many as lock out once the name has failed so often anywhere."""
        here = int(super().get_failures(request, credentials))
        return max(here, settings.AXES_FAILURE_LIMIT) if self._guessed_everywhere(request, credentials) else here

    @staticmethod
    def _guessed_everywhere(request: HttpRequest, credentials: dict[str, Any] | None) -> bool:
        name = get_client_username(request, credentials)
        since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
        found = AccessAttempt.objects.filter(username=name, attempt_time__gte=since)
        failures = found.aggregate(failures=Sum("failures_since_start"))["failures"]
        return bool(name) and (failures or 0) >= FAILURES_OF_A_NAME


def _signed_in(sender: Any, request: HttpRequest | None, user: AbstractBaseUser, **_: Any) -> None:
    name = user.get_username()
    _record(Actor("user", name, person=name), "person.signed_in", name, request, by=own_sessions.how(request))
    if hasattr(request, "session") and request is not None:
        own_sessions.begin(request, client_address(request))


def _signed_out(sender: Any, request: HttpRequest | None, user: AbstractBaseUser | None, **_: Any) -> None:
    if user is not None:
        name = user.get_username()
        _record(Actor("user", name, person=name), "person.signed_out", name, request)


def _failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if getattr(request, "axes_locked_out", False):  # that is told by the lock-out
        return
    name = _known(credentials.get("username"))
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    recent = AuditEvent.objects.filter(name=FAILED, subject=f"person:{name}", at__gte=since)[:RECORDED_FAILURES]
    if len(recent) < RECORDED_FAILURES:
        _record(system_actor("sign-in"), FAILED, name, request)


def _locked_out(sender: Any, request: HttpRequest | None, username: str | None = None, **_: Any) -> None:
    name, address = _known(username), client_address(request)
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    told = AuditEvent.objects.filter(name=LOCKED_OUT, subject=f"person:{name}", at__gte=since, data__address=address)
    if not told.exists():  # once, not at every knock after it
        _record(system_actor("sign-in"), LOCKED_OUT, name, request)


def _known(name: object) -> str:
    text = str(name or "").replace("\x00", "")[:150]
    return text if text and get_user_model().objects.filter(username=text).exists() else UNKNOWN


def _record(actor: Actor, name: str, person: str, request: HttpRequest | None, **data: str) -> None:
    trail.record_alone(actor=actor, name=name, subject=f"person:{person}", address=client_address(request), **data)
