"""An assertion counts when every part of it is right: each is made with a real key, with one thing wrong."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from engine.passkeys import PassKey, challenge_of, is_asserted
from engine.ssh.keys import UnusableKey

TEXT, ORIGIN = "what is consented to", "https://portal.example"
PRIVATE = ec.generate_private_key(ec.SECP256R1())


def public(key: Any) -> str:
    der = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(*der)).decode()


KEY = PassKey(public(PRIVATE))


def assertion(*, flags: int = 0x05, site: str = "portal.example", key: Any = PRIVATE, **client: str) -> str:
    said = {"type": "webauthn.get", "challenge": challenge_of(TEXT), "origin": ORIGIN, **client}
    data = json.dumps(said).encode()
    authenticator = hashlib.sha256(site.encode()).digest() + bytes([flags]) + bytes(4)
    signature = key.sign(authenticator + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
    parts = {"authenticatorData": authenticator, "clientDataJSON": data, "signature": signature}
    return json.dumps({name: base64.b64encode(value).decode() for name, value in parts.items()})


def test_what_is_right_counts() -> None:
    assert is_asserted(TEXT, assertion(), key=KEY, origin=ORIGIN)
    assert is_asserted(TEXT, assertion(), key=KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"challenge": challenge_of("something else")},
        {"type": "webauthn.create"},
        {"origin": "https://evil.example"},
        {"site": "evil.example"},
        {"flags": 0x01},
        {"flags": 0x04},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ],
)
def test_with_one_thing_wrong_it_does_not(wrong: dict[str, Any]) -> None:
    assert not is_asserted(TEXT, assertion(**wrong), key=KEY, origin=ORIGIN)


@pytest.mark.parametrize("text", ["", "{}", "[]", "[" * 100_000, '{"authenticatorData": 1}', "null", "\x00"])
def test_what_is_no_assertion_is_none(text: str) -> None:
    assert not is_asserted(TEXT, text, key=KEY)


@pytest.mark.parametrize("cut", ["authenticatorData", "clientDataJSON", "signature"])
def test_a_part_that_was_cut_or_changed_is_noticed(cut: str) -> None:
    document = json.loads(assertion())
    document[cut] = base64.b64encode(base64.b64decode(document[cut])[:-2]).decode()
    assert not is_asserted(TEXT, json.dumps(document), key=KEY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "AAAA", "\u00e9", base64.b64encode(b"0" * 91).decode()),
        public(rsa.generate_private_key(65537, 2048)),
        public(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_what_is_no_key_of_that_kind_is_refused(text: str) -> None:
    with pytest.raises(UnusableKey):
        PassKey(text)
