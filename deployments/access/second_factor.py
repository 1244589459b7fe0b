"""What a password needs beside it: a passkey, or a code of an authenticator app or recovery code, each taken once."""

import hashlib
import time

import pyotp
from django.contrib.auth.models import User
from django.utils import timezone

from deployments.models import AuthenticatorApp, RecoveryCode, SigningKey

STEP_SECONDS = 30
_TOLERANCE = 1
"""Half minutes that a phone's clock may differ."""


def passkeys_of(person: str) -> list[SigningKey]:
    """What somebody may sign in with: their passkeys that are not revoked, confirmed for approving or not."""
    return list(SigningKey.objects.filter(person=person, revoked_at=None).exclude(credential=""))


def is_needed(person: User) -> bool:
    """Whether a password alone does not let this person in."""
    return has_app(person) or bool(passkeys_of(person.get_username()))


def has_app(person: User) -> bool:
    """Whether an authenticator app of theirs has proven itself."""
    return AuthenticatorApp.objects.filter(person=person, confirmed_at__isnull=False).exists()


def codes_left(person: User) -> int:
    """Recovery codes that were not used."""
    return RecoveryCode.objects.filter(person=person, used_at=None).count()


def take_code(person: User, code: str) -> str:
    """Use a code up: `code` for one of the app, `recovery code`, or "" for one that is none (any more)."""
    code = "".join(code.split()).replace("-", "").lower()
    if not code.isascii():
        return ""
    app = AuthenticatorApp.objects.filter(person=person, confirmed_at__isnull=False).first()
    if app is not None and take_app_code(app, code):
        return "code"
    unused = RecoveryCode.objects.filter(person=person, digest=digest_of(code), used_at=None)
    return "recovery code" if code and unused.update(used_at=timezone.now()) else ""


def take_app_code(app: AuthenticatorApp, code: str) -> bool:
    """Whether an app shows this code about now, and nobody has used it; two at the same time win once."""
    now = int(time.time()) // STEP_SECONDS
    one_time = pyotp.TOTP(app.secret)
    for step in range(now - _TOLERANCE, now + _TOLERANCE + 1):
        if pyotp.utils.strings_equal(one_time.at(step * STEP_SECONDS), code):
            fresh = AuthenticatorApp.objects.filter(pk=app.pk, last_step__lt=step)
            return bool(fresh.update(last_step=step))
    return False


def digest_of(code: str) -> str:
    """What is stored of a recovery code; it has 80 random bits."""
    return hashlib.sha256(code.encode()).hexdigest()
