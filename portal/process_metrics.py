"""Counters of the web processes, in files that have their room before they are written.

prometheus_client maps a sparse file and writes into it: on a full disk the kernel then ends the process (SIGBUS).
"""

import mmap
import os
from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict, values

FIRST_BYTES = 1 << 20
"""Room for some thousand series, as many as the portal's own addresses make."""


class RoomyDict(mmap_dict.MmapedDict):
    """Takes its room first; where there is none it counts in memory, and /metrics lacks this process."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode and not _reserved(filename, FIRST_BYTES):
            Path(filename).unlink(missing_ok=True)
            filename = os.devnull
        if filename == os.devnull:
            self._in_memory()
        else:
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]  # published without types

    def _in_memory(self) -> None:
        self._fname = os.devnull
        self._f: Any = Path(os.devnull).open("a+b")  # noqa: SIM115  (theirs to close)
        self._capacity = FIRST_BYTES
        self._m: Any = mmap.mmap(-1, FIRST_BYTES)
        self._positions: dict[str, int] = {}
        self._used = 8
        self._m[:4] = self._used.to_bytes(4, "little")

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + 64 > self._capacity:
            self._grow()
        super()._init_value(key)  # type: ignore[no-untyped-call]  # published without types

    def _grow(self) -> None:
        size = self._capacity * 2
        try:
            os.posix_fallocate(self._f.fileno(), 0, size)
            grown = mmap.mmap(self._f.fileno(), size)
        except OSError:
            grown = mmap.mmap(-1, size)
        grown[: self._capacity] = self._m[: self._capacity]
        self._m, self._capacity = grown, size


def install() -> None:
    """From now on metrics of this process are kept so; before the first of them is made."""
    values.MmapedDict = RoomyDict  # type: ignore[attr-defined]  # theirs is imported there


def _reserved(filename: str, size: int) -> bool:
    try:
        with Path(filename).open("a+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return False
    return True
