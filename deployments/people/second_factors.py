"""Setting up what a password needs beside it: done by its owner, who has signed in just now."""

import base64
import secrets

import pyotp
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from deployments.access import second_factor
from deployments.access.own_sessions import refuse_others
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.models import AuthenticatorApp, RecoveryCode
from engine.errors import Conflict, InvalidRequest

CODES = 10
_CODE_BYTES = 10
ISSUER = "CyTube Ops"


def begin_app(*, actor: Actor, person: User) -> str:
    """A new secret for an authenticator app, as the address that it reads; it counts after `confirm_app`.

    Asked again before that, it is the same one. Raises NotAllowed, Conflict (there is one already).
    """
    _own(actor, person)
    with transaction.atomic():
        app, _ = AuthenticatorApp.objects.get_or_create(person=person, defaults={"secret": pyotp.random_base32()})
    if app.confirmed_at is not None:
        raise Conflict("You have an authenticator app.", hint="Remove it first.", reason="app_exists")
    return pyotp.TOTP(app.secret).provisioning_uri(name=person.get_username(), issuer_name=ISSUER)


def confirm_app(*, actor: Actor, person: User, code: str) -> list[str]:
    """The app shows the code: a password needs one from now on. Returns recovery codes, none if some are left."""
    _own(actor, person)
    app = AuthenticatorApp.objects.filter(person=person, confirmed_at=None).first()
    if app is None or not second_factor.take_app_code(app, "".join(code.split())):
        raise InvalidRequest(
            "The app does not show this code now.",
            hint="Take the next one; look at the phone's clock if that fails too.",
        )
    with transaction.atomic():
        AuthenticatorApp.objects.filter(pk=app.pk).update(confirmed_at=timezone.now())
        _record(actor, person, "app_added")
        return codes_if_none(actor=actor, person=person)


def remove_app(*, actor: Actor, person: User) -> None:
    """Its codes count no more. Raises NotAllowed, Conflict (there is none)."""
    _own(actor, person)
    with transaction.atomic():
        removed, _ = AuthenticatorApp.objects.filter(person=person).delete()
        if not removed:
            raise Conflict("You have no authenticator app.", reason="no_app")
        _record(actor, person, "app_removed")


def new_codes(*, actor: Actor, person: User) -> list[str]:
    """New recovery codes, shown once; those from before count no more. Raises NotAllowed."""
    _own(actor, person)
    codes = [base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower() for _ in range(CODES)]
    with transaction.atomic():
        RecoveryCode.objects.filter(person=person).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(person=person, digest=second_factor.digest_of(code)) for code in codes
        )
        _record(actor, person, "recovery_codes_made")
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def codes_if_none(*, actor: Actor, person: User) -> list[str]:
    """The same for somebody who has none left and now needs them; else nothing."""
    return [] if second_factor.codes_left(person) else new_codes(actor=actor, person=person)


def _own(actor: Actor, person: User) -> None:
    require(actor, Verb.OWN_KEY)
    refuse_others(actor, person, what="A second factor")


def _record(actor: Actor, person: User, event: str) -> None:
    trail.record(actor=actor, name=f"person.{event}", subject=f"person:{person.get_username()}")
