"""Host keys and private keys as values."""

import base64
import binascii
import contextlib
import hashlib
import io
import re
from dataclasses import dataclass
from typing import ClassVar, Self

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.errors import PortalError

HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
"""The key types paramiko 5 and OpenSSH 9 share; DSA is gone from both."""

_COMMENT = re.compile(r"[ -~]*")


class UnusableKey(PortalError):
    """The text is not a key we can use."""

    reason = "unusable_key"


class EncryptedKey(UnusableKey):
    """The private key needs its passphrase, or another one than was given."""

    reason = "encrypted_key"


@dataclass(frozen=True, slots=True)
class HostKey:
    """What a server proves its identity with. Raises UnusableKey for anything that is no public key of a known type."""

    TYPES: ClassVar[tuple[str, ...]] = HOST_KEY_TYPES
    WHAT: ClassVar[str] = "host key"

    type: str
    base64: str

    def __post_init__(self) -> None:
        if self.type not in self.TYPES:
            raise UnusableKey(f"{self.type!r} is not a type of {self.WHAT} in use: {', '.join(self.TYPES)}.")
        try:
            blob = base64.b64decode(self.base64, validate=True)
        except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
            raise UnusableKey(f"The {self.WHAT} is not base64.") from None
        name = self.type.encode()
        # RFC 4253 section 6.6: a key blob begins with its type as a string.
        if not blob.startswith(len(name).to_bytes(4, "big") + name):
            raise UnusableKey(f"The {self.WHAT} does not hold an {self.type} key.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "type base64", as in known_hosts without the name or in a .pub file. Raises UnusableKey."""
        parts = text.split()
        if len(parts) < 2:
            raise UnusableKey(f"A {cls.WHAT} is a type and base64, separated by a space.")
        return cls(parts[0], parts[1])

    @property
    def fingerprint(self) -> str:
        """SHA256:…, as ssh-keygen -l prints it."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signature algorithms that prove a key of this type (RFC 8332 for RSA; SHA-1 is not offered)."""
        return ("rsa-sha2-512", "rsa-sha2-256") if self.type == "ssh-rsa" else (self.type,)

    def __str__(self) -> str:
        return f"{self.type} {self.base64}"


class PrivateKey:
    """A private key that shows itself to nobody: repr, str and pickle do not contain it."""

    _KINDS: ClassVar[tuple[type[paramiko.PKey], ...]] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

    def __init__(self, text: str, passphrase: str = "") -> None:
        """From an OpenSSH or PEM text. Raises EncryptedKey for a passphrase that is missing or wrong, UnusableKey."""
        encrypted = False
        for kind in self._KINDS:
            try:
                self._key = kind.from_private_key(io.StringIO(text))
            except paramiko.PasswordRequiredException:
                encrypted = True
            except (paramiko.SSHException, ValueError, IndexError, UnicodeDecodeError):
                continue
            else:
                return
            with contextlib.suppress(paramiko.SSHException, ValueError, IndexError, UnicodeDecodeError):
                if passphrase:
                    self._key = kind.from_private_key(io.StringIO(text), passphrase)
                    return
        if encrypted:
            raise EncryptedKey(
                "The passphrase does not open the private key." if passphrase else "The private key has a passphrase.",
                hint="Load it into an ssh-agent (ssh-add), which asks for the passphrase itself.",
            )
        raise UnusableKey(
            "The private key is not an ed25519, ECDSA or RSA key in OpenSSH or PEM form.",
            hint="`ssh-keygen -t ed25519` makes one; keys of other kinds can be used through an ssh-agent.",
        )

    @property
    def pkey(self) -> paramiko.PKey:
        """For paramiko only."""
        return self._key

    @property
    def public_line(self) -> str:
        """As it stands in authorized_keys, without a comment."""
        return f"{self._key.get_name()} {self._key.get_base64()}"

    @property
    def fingerprint(self) -> str:
        """SHA256:… of the public half."""
        return self._key.fingerprint

    def __repr__(self) -> str:
        return f"<PrivateKey {self._key.get_name()} {self.fingerprint}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


def generate_key(comment: str = "") -> tuple[str, str]:
    """A new ed25519 key pair: private text in OpenSSH form, public line with the comment (printable ASCII)."""
    if not _COMMENT.fullmatch(comment):
        raise UnusableKey("The comment of a key is printable ASCII.")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}".strip()
