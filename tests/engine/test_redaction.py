"""What looks like a credential is in no sentence of a refusal; what only resembles one stays."""

import time

import pytest

from engine.errors import InvalidRequest
from engine.redaction import KEY_MARK, redacted

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabcsecret\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://bob:hunter2@host/a", "https://…@host/a"),
        ("https://bob:hun/ter@2@host/a", "https://…@host/a"),
        ("https://:hunter2@host/a", "https://…@host/a"),
        ("https://hunter2@host/a", "https://…@host/a"),
        ("mailto://bob:hunter2@mail.example", "mailto://…@mail.example"),
        ("postgres://portal:hunter2@db/portal", "postgres://…@db/portal"),
        ("https://host/hook?id=3&token=hunter2#x", "https://host/hook?id=3&token=…#x"),
        ("https://host/?access_token=hunter2", "https://host/?access_token=…"),
        (f"a {KEY} b", f"a {KEY_MARK} b"),
        (KEY[:45], KEY_MARK),
        ("ghp_abcdefghijklmnop1234 and glpat-abcdefghijklmnop1234", "… and …"),
    ],
)
def test_a_credential_is_taken_out_of_texts_and_of_errors(typed: str, shown: str) -> None:
    assert redacted(typed) == shown
    error = InvalidRequest(f"{typed} is no address.", hint=f"Not {typed}.")
    assert "hunter2" not in str(error)
    assert "abcsecret" not in repr(error)


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8443/a@v1",
        "https://host/a/b.git",
        "ssh://rosey@host:22",
        "git@github.com:acme/dice.git",
        "deploy@host:22 said: no",
        "the tests' key: abc?",
    ],
)
def test_what_only_resembles_one_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("piece", ["://a:", "https://", "-----BEGIN PRIVATE KEY", "?token=", "ghp_a", "-----BEGIN "])
def test_a_long_text_costs_little(piece: str) -> None:
    began = time.process_time()
    redacted("PRIVATE KEY ://" + piece * (400_000 // len(piece)))
    assert time.process_time() - began < 5
