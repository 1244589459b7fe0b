"""Deterministic tar: ustar headers written here, so that the bytes depend on nothing but path, mode and size.

POSIX.1-1988 ustar; a path that does not fit, or is not ASCII, gets a POSIX.1-2001 "path" record in front. Owner 0:0
and time 0 throughout. The layout is a function of the manifest, which is why an artifact needs no index.
"""

from collections.abc import Iterable
from functools import lru_cache

BLOCK = 512
END = bytes(2 * BLOCK)

_PAX_NAME = "././@PaxHeader"


def padded(size: int) -> int:
    """`size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def padding(size: int) -> bytes:
    """The zeros that follow a content of `size` bytes."""
    return bytes(padded(size) - size)


@lru_cache(maxsize=4096)
def header(path: str, mode: int, size: int) -> bytes:
    """The block, or three or more blocks, in front of a file's content."""
    fields = _split(path)
    if fields is not None:
        return _block(*fields, mode, size, b"0")
    record = _pax_record(path.encode())
    extended = _block(_PAX_NAME, "", 0o444, len(record), b"x") + record + padding(len(record))
    # readers take the path from the record; what stands here only has to be harmless
    fallback = ascii(path)[1:-1].rpartition("/")[2][:100]
    return extended + _block(fallback, "", mode, size, b"0")


def layout(members: Iterable[tuple[str, int, int]], start: int = 0) -> tuple[list[int], int]:
    """Where the content of each member begins that has this path, mode and size, and where the last one's padding ends.

    The first header stands at `start`.
    """
    begins = []
    for path, mode, size in members:
        begins.append(start + _header_size(path, mode, size))
        start = begins[-1] + padded(size)
    return begins, start


def _header_size(path: str, mode: int, size: int) -> int:
    """Bytes of a file's header."""
    return BLOCK if path.isascii() and len(path) <= 100 else len(header(path, mode, size))


def _split(path: str) -> tuple[str, str] | None:
    """The name and prefix fields that a path fits into, or None."""
    if not path.isascii():
        return None
    if len(path) <= 100:
        return path, ""
    cut = path.find("/", max(0, len(path) - 101))
    if cut < 1 or cut > 155:
        return None
    return path[cut + 1 :], path[:cut]


def _pax_record(path: bytes) -> bytes:
    body = b" path=" + path + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def _block(name: str, prefix: str, mode: int, size: int, kind: bytes) -> bytes:
    owner, time, device = b"0000000\0" * 2, b"00000000000\0", b"0000000\0" * 2
    start = name.encode().ljust(100, b"\0") + b"%07o\0" % mode + owner + b"%011o\0" % size + time
    end = kind + bytes(100) + b"ustar\x0000" + bytes(64) + device + prefix.encode().ljust(155, b"\0") + bytes(12)
    # the checksum counts its own field as eight spaces
    return start + b"%06o\0 " % (sum(start) + sum(end) + 8 * ord(" ")) + end
