"""The steps of signing in, as Django's authentication backends; django-axes stands before them and counts failures."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from deployments.access import second_factor
from engine.passkeys import PassKey, is_asserted


class NotByPasswordAlone(ModelBackend):
    """Stands before Django's own: whoever asks with a password alone gets nobody who has a second factor.

    `first_step=True` is said by a caller who asks for the second factor next.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **more: Any
    ) -> None:
        """Nobody; raises PermissionDenied, so that no other backend is asked."""
        if password is None or more.get("first_step"):
            return
        person = User.objects.filter(username=username).first()
        if person is not None and second_factor.is_needed(person):
            raise PermissionDenied


class ByCode(ModelBackend):
    """The second step, with a code; the caller has checked the password."""

    def authenticate(  # type: ignore[override]  # Django passes what the caller names
        self, request: HttpRequest | None, username: str = "", *, code: str
    ) -> User | None:
        """The person whose code it is."""
        person = User.objects.filter(username=username, is_active=True).first()
        return person if person is not None and second_factor.take_code(person, code) else None


class BySingleSignOn(ModelBackend):
    """Whom the issuer has proven (`access.issuer`); a second factor that they have here is asked for all the same."""

    def authenticate(  # type: ignore[override]  # the same
        self, request: HttpRequest | None, username: str = "", *, proven: dict[str, Any]
    ) -> User | None:
        """The person whose account there is linked."""
        return User.objects.filter(
            username=username,
            is_active=True,
            single_sign_on__issuer=proven.get("iss", ""),
            single_sign_on__subject=proven.get("sub", ""),
        ).first()


class ByPasskey(ModelBackend):
    """A passkey alone, or as the second step: it was unlocked by its owner (PIN, finger, face)."""

    def authenticate(  # type: ignore[override]  # the same
        self,
        request: HttpRequest | None,
        username: str = "",
        *,
        credential: str,
        assertion: str,
        text: str,
        origin: str,
    ) -> User | None:
        """The person whose passkey signed `text` on `origin`."""
        person = User.objects.filter(username=username, is_active=True).first()
        keys = [key for key in second_factor.passkeys_of(username) if key.credential == credential]
        if person is None or not keys:
            return None
        key = PassKey.parse(keys[0].public_key)
        return person if is_asserted(text, assertion, key=key, origin=origin) else None
