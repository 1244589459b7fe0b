"""What a passkey signs in a browser (WebAuthn level 2, section 7.2), checked with nothing but a public key.

A passkey's key pair lives in a security key, a phone or a system's store. It signs the authenticator's data and the
digest of the client's data, which names the challenge; ours is the digest of the text that somebody consents to.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.ssh.keys import UnusableKey

MARK = "passkey"
"""Stands before the key in records, where an SSH key has its type."""
_PRESENT_AND_VERIFIED = 0x05
"""Flags of the authenticator's data: somebody touched it (bit 0) and was recognised (bit 2)."""
_FIXED_PART = 37
"""Bytes: a digest of the site's name, flags, a counter."""


@dataclass(frozen=True, slots=True)
class PassKey:
    """A public key on the curve P-256, as DER (SubjectPublicKeyInfo) in base64. Raises UnusableKey for others."""

    base64: str

    def __post_init__(self) -> None:
        try:
            der = base64.b64decode(self.base64, validate=True)
            key = serialization.load_der_public_key(der)
        except (binascii.Error, ValueError):
            raise UnusableKey("The passkey's public key cannot be read.") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UnusableKey("The passkey is of another kind than ES256.", hint="Use another authenticator.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From how it is recorded. Raises UnusableKey."""
        mark, _, key = text.partition(" ")
        if mark != MARK:
            raise UnusableKey("That is no passkey.")
        return cls(key)

    @property
    def fingerprint(self) -> str:
        """SHA256:…, of the DER."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{MARK} {self.base64}"


def challenge_of(text: str) -> str:
    """The challenge for a text: its sha256, in base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def is_asserted(text: str, assertion: str, *, key: PassKey, origin: str = "") -> bool:
    """Whether `key` made `assertion` over the digest of exactly `text`, touched and unlocked by its owner.

    `assertion` is JSON of what a browser gives: authenticatorData, clientDataJSON and signature, in base64. With
    `origin` it must also have been made on that site.
    """
    try:
        document = json.loads(assertion)
        authenticator, client, signature = (
            base64.b64decode(document[name], validate=True)
            for name in ("authenticatorData", "clientDataJSON", "signature")
        )
        said = json.loads(client)
        kind, challenge, made_on = said["type"], said["challenge"], said["origin"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if len(authenticator) < _FIXED_PART or authenticator[32] & _PRESENT_AND_VERIFIED != _PRESENT_AND_VERIFIED:
        return False
    if (kind, challenge) != ("webauthn.get", challenge_of(text)):
        return False
    if origin and not _made_on(origin, made_on, authenticator):
        return False
    public = serialization.load_der_public_key(base64.b64decode(key.base64))
    try:
        assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101  (PassKey has looked; for the type checker)
        public.verify(signature, authenticator + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _made_on(origin: str, made_on: str, authenticator: bytes) -> bool:
    site = (urlsplit(origin).hostname or "").encode()
    return made_on == origin and authenticator[:32] == hashlib.sha256(site).digest()
