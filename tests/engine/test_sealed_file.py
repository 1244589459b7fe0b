"""Nothing that was altered comes out of a sealed stream."""

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import sealed_file
from engine.sealed_file import BrokenSeal, SealedError, SealingWriter, UnsealingReader, WrongPassphrase

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "_COSTS", {"n": 2, "r": 1, "p": 1})


def seal(data: bytes) -> bytes:
    target = io.BytesIO()
    with SealingWriter(target, PASSPHRASE) as writer:
        writer.write(data)
    return target.getvalue()


def unseal(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return io.BufferedReader(UnsealingReader(io.BytesIO(data), passphrase)).read()


@pytest.mark.parametrize(
    "size", [0, 1, sealed_file.CHUNK - 1, sealed_file.CHUNK, sealed_file.CHUNK + 1, 3 * sealed_file.CHUNK]
)
def test_what_was_sealed_comes_back(size: int) -> None:
    data = os.urandom(size)
    assert unseal(seal(data)) == data


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(WrongPassphrase):
        unseal(seal(b"content"), "another passphrase")


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_anywhere_is_refused(position: float, bit: int) -> None:
    data = bytearray(SEALED)
    data[int(position * len(data))] ^= 1 << bit
    with pytest.raises(SealedError):
        unseal(bytes(data))


@pytest.mark.parametrize("missing", [1, 16, 1000, sealed_file.CHUNK + 16])
def test_a_file_that_was_cut_off_is_refused(missing: int) -> None:
    with pytest.raises(SealedError):
        unseal(SEALED[:-missing])


def test_swapped_chunks_are_refused() -> None:
    size = sealed_file.CHUNK + 16
    start = len(SEALED) - (len(SEALED) - SEALED.index(b"}") - 1)
    first, second, rest = (
        SEALED[start : start + size],
        SEALED[start + size : start + 2 * size],
        SEALED[start + 2 * size :],
    )
    with pytest.raises(SealedError):
        unseal(SEALED[:start] + second + first + rest)


def test_a_file_of_another_kind_is_named_as_such() -> None:
    with pytest.raises(BrokenSeal, match="no backup"):
        unseal(b"PK\x03\x04 something else entirely")


def test_a_header_that_asks_for_all_memory_is_refused() -> None:
    greedy = SEALED.replace(b'"n": 2,', b'"n": 9999999999,')
    with pytest.raises(BrokenSeal):
        unseal(greedy)


def _made_cheaply() -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_file, "_COSTS", {"n": 2, "r": 1, "p": 1})
        return seal(os.urandom(2 * sealed_file.CHUNK + 500))


SEALED = _made_cheaply()
