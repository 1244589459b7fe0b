"""Encryption at rest: a text column that only the portal's keys can read, and that says so when they cannot."""

from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from engine.errors import PortalError


class UndecryptableValue(PortalError):
    """None of PORTAL_ENCRYPTION_KEYS decrypts a stored secret."""

    reason = "undecryptable"


class SecretText(str):
    """A secret: its text where it is used, a mask wherever it would be shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SecretText('…')"


def cipher() -> MultiFernet:
    """The configured keys, newest first: the first encrypts, all decrypt."""
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


if TYPE_CHECKING:
    _TextField = models.TextField[str, SecretText]
else:
    _TextField = models.TextField


class EncryptedTextField(_TextField):
    """Text encrypted with MultiFernet; reading with a wrong key raises UndecryptableValue."""

    def get_prep_value(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        return cipher().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> SecretText | None:
        if value is None or value == "":
            return SecretText("") if value == "" else None
        try:
            return SecretText(cipher().decrypt(value.encode()).decode())
        except InvalidToken as error:
            raise UndecryptableValue(
                f"A stored secret ({self.model._meta.label}.{self.name}) cannot be decrypted with the configured keys.",
                hint="Put the key it was written with back into PORTAL_ENCRYPTION_KEYS.",
            ) from error
