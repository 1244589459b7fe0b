"""A stream sealed with a passphrase: AES-256-GCM in chunks, under a key that scrypt makes of the passphrase.

Layout: the magic, the length of the header (4 bytes, big-endian), the header (JSON: scrypt's salt and costs, and the
size of a chunk), then chunks. Each chunk's nonce is 7 random bytes, its number (4 bytes) and whether it is the last
(1 byte): the STREAM construction, which notices chunks that were altered, swapped, dropped or cut off. The header is
authenticated with every chunk.

SealedError         (a PortalError)
├── WrongPassphrase the first chunk does not open: the passphrase is another one, or the beginning was altered
└── BrokenSeal      it is no such file, or something after the beginning was altered or cut off
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from io import RawIOBase
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import PortalError

MAGIC = b"CYOP sealed 1\n"
CHUNK = 1 << 20
_TAG = 16
_LENGTH = struct.Struct(">I")
# 64 MiB and about a quarter of a second: what OWASP's password storage cheat sheet asks of scrypt (N=2^16, r=8).
_COSTS = {"n": 1 << 16, "r": 8, "p": 1}
_MOST = {"n": 1 << 20, "r": 32, "p": 16}
_LARGEST_HEADER = 4096
MIN_PASSPHRASE = 12


class SealedError(PortalError):
    """A sealed file cannot be read."""

    reason = "sealed"


class WrongPassphrase(SealedError):
    """The first chunk does not open."""

    reason = "wrong_passphrase"


class BrokenSeal(SealedError):
    """The file is damaged, or no sealed file."""

    reason = "broken_seal"


class SealingWriter(RawIOBase):
    """Writes what it is given, sealed, to `target`; `close` completes the file and leaves `target` open."""

    def __init__(self, target: BinaryIO, passphrase: str) -> None:
        super().__init__()
        costs = {"salt": os.urandom(16).hex(), "nonce": os.urandom(7).hex(), "chunk": CHUNK, **_COSTS}
        header = json.dumps(costs, sort_keys=True).encode()
        self._target = target
        self._seal = _Seal(costs, header, passphrase)
        self._buffer = bytearray()
        target.write(MAGIC + _LENGTH.pack(len(header)) + header)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes; whole chunks go out at once."""
        self._buffer += data
        while len(self._buffer) > CHUNK:
            self._target.write(self._seal.close(bytes(self._buffer[:CHUNK]), last=False))
            del self._buffer[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Write the last chunk."""
        if not self.closed:
            self._target.write(self._seal.close(bytes(self._buffer), last=True))
        super().close()


class UnsealingReader(RawIOBase):
    """Reads what was sealed into `source`. Raises WrongPassphrase, BrokenSeal; never returns unauthenticated bytes."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        super().__init__()
        costs, header = _header(source)
        self._chunks = _opened(source, _Seal(costs, header, passphrase), int(costs["chunk"]))
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as there is something."""
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class _Seal:
    def __init__(self, costs: dict[str, Any], header: bytes, passphrase: str) -> None:
        key = hashlib.scrypt(
            passphrase.encode(),
            salt=bytes.fromhex(costs["salt"]),
            n=costs["n"],
            r=costs["r"],
            p=costs["p"],
            maxmem=128 * costs["r"] * (costs["n"] + costs["p"]) + (1 << 20),
            dklen=32,
        )
        self._cipher, self._header = AESGCM(key), header
        self._prefix, self._number = bytes.fromhex(costs["nonce"]), 0

    def close(self, data: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._next(last), data, self._header)

    def open(self, data: bytes, *, last: bool) -> bytes:
        return self._cipher.decrypt(self._next(last), data, self._header)

    def _next(self, last: bool) -> bytes:
        self._number += 1
        return self._prefix + _LENGTH.pack(self._number) + bytes([last])


def _header(source: BinaryIO) -> tuple[dict[str, Any], bytes]:
    try:
        if source.read(len(MAGIC)) != MAGIC:
            raise BrokenSeal("This is no backup of a portal.", hint="Name a file that `manage.py backup` wrote.")
        (length,) = _LENGTH.unpack(source.read(_LENGTH.size))
        header = source.read(min(length, _LARGEST_HEADER))
        costs = json.loads(header)
        sane = all(1 <= int(costs[name]) <= most for name, most in _MOST.items()) and costs["chunk"] == CHUNK
        if not sane or len(bytes.fromhex(costs["nonce"])) != 7 or len(bytes.fromhex(costs["salt"])) != 16:
            raise ValueError("not what this version writes")
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise BrokenSeal(f"The backup's beginning is damaged: {error}.", hint="Use another copy.") from error
    return costs, header


def _opened(source: BinaryIO, seal: _Seal, size: int) -> Iterator[bytes]:
    number, chunk = 0, source.read(size + _TAG)
    while True:
        following = source.read(size + _TAG)
        number += 1
        try:
            yield seal.open(chunk, last=not following)
        except InvalidTag as error:
            if number == 1:
                raise WrongPassphrase(
                    "The passphrase does not open this backup, or its beginning was altered.",
                    hint="Try the passphrase of the day it was made; if that is the one, use another copy.",
                ) from error
            raise BrokenSeal(
                f"The backup was altered or cut off in its part {number}; nothing of it was used.",
                hint="Use another copy.",
            ) from error
        if not following:
            return
        chunk = following
