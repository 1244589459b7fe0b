"""A passkey in software: what a browser and its authenticator would send."""

import base64
import hashlib
import json
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployments.core.actors import Actor
from deployments.models import SigningKey
from deployments.people.signing_keys import add_key


class SoftPasskey:
    """One key pair."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.credential = secrets.token_urlsafe(16)
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = base64.b64encode(der).decode()

    def add(self, actor: Actor, name: str = "phone") -> SigningKey:
        """Put it into the record as its person would."""
        return add_key(actor=actor, name=name, public_key=self.public_key, credential=self.credential)

    def answer(self, page: Any, origin: str) -> dict[str, str]:
        """What the form of this page sends when the passkey signs its challenge."""
        found = re.search(r'data-challenge="([\w-]+)"', page.content.decode())
        assert found, page.content.decode()
        return {"credential": self.credential, "signature": self.sign(found[1], origin)}

    def sign(self, challenge: str, origin: str, *, flags: int = 0x05) -> str:
        """The assertion, as JSON."""
        client = json.dumps({"type": "webauthn.get", "challenge": challenge, "origin": origin}).encode()
        site = hashlib.sha256((urlsplit(origin).hostname or "").encode()).digest()
        data = site + bytes([flags]) + bytes(4)
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {"authenticatorData": data, "clientDataJSON": client, "signature": signature}
        return json.dumps({name: base64.b64encode(value).decode() for name, value in parts.items()})
