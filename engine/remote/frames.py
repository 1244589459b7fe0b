"""What travels to the agent: frames of one byte kind, eight bytes length (big endian), and content."""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

_HEADER = struct.Struct(">cQ")


class ArtifactReader(Protocol):
    """What can produce the files of a release, as `artifacts.reader` does."""

    def tar_size(self, paths: Iterable[str], /) -> int:
        """Bytes of the tar of these paths."""

    def tar_of(self, paths: Iterable[str], /) -> Iterable[bytes]:
        """That tar, uncompressed, piece by piece."""


def header(kind: bytes, size: int) -> bytes:
    """The nine bytes in front of a frame's content."""
    return _HEADER.pack(kind, size)


def request(content: dict[str, Any]) -> bytes:
    """A P frame: the request as compressed JSON (a plan of 400 files: 47 KB become 20)."""
    packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
    return header(b"P", len(packed)) + packed


def tar(size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A T frame."""
    yield header(b"T", size)
    yield from pieces


def value(content: bytes) -> bytes:
    """A V frame: a secret, which nothing but this holds."""
    return header(b"V", len(content)) + content
