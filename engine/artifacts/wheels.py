"""The wheels of a lock for the servers' Python: from a directory, or fetched by pip and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Protocol

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from engine.artifacts.errors import WheelsUnavailable
from engine.artifacts.lock import USUAL_ARCHITECTURE, Lock, LockedPackage

# Debian 12, the platform we test, has glibc 2.36. PEP 600, 599, 571 and 513: the oldest glibc of manylinux on each
# architecture, and what its tags were called before.
_NEWEST_GLIBC = 36
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_PIP_DEADLINE = 900  # seconds; a first fetch of 40 wheels over a slow line takes a few minutes


class WheelSource(Protocol):
    """Where wheels come from."""

    def wheels(self, lock: Lock, python: str, architecture: str = USUAL_ARCHITECTURE) -> list[Path]:
        """One wheel for each package that servers with this Python need. Raises WheelsUnavailable."""


def platforms(architecture: str = USUAL_ARCHITECTURE) -> list[str]:
    """The platform tags of wheels that run on servers of an architecture (Linux, glibc), the newest first.

    None for one of which we know no tags.
    """
    tags: list[str] = []
    for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC.get(architecture, _NEWEST_GLIBC + 1) - 1, -1):
        names = [f"manylinux_2_{minor}", *([_ALIASES[minor]] if minor in _ALIASES else [])]
        tags += [f"{name}_{architecture}" for name in names]
    return tags


def unfit(wheels: Iterable[str], python: str, architecture: str) -> list[str]:
    """Which of these wheels, by their names, no server with this Python (3.11) and architecture can use."""
    ranks = _ranks(python, architecture)
    return [wheel for wheel in wheels if _rank(wheel, ranks) < 0]


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def architectures(wheels: Iterable[str]) -> list[str]:
    """The architectures on which all of these wheels, by their names, can be used; none where every one will do."""
    bound = [{tag.platform for tag in _tags(wheel)} for wheel in wheels]
    fitting = [
        name
        for name in _OLDEST_GLIBC
        if all("any" in platforms or any(each.endswith(f"_{name}") for each in platforms) for platforms in bound)
    ]
    return [] if len(fitting) == len(_OLDEST_GLIBC) else fitting


@dataclass(frozen=True)
class DirectoryWheels:
    """The wheels that lie in a directory; several locks may share it, other files do not matter."""

    directory: Path

    def wheels(self, lock: Lock, python: str, architecture: str = USUAL_ARCHITECTURE) -> list[Path]:
        """For each package the best wheel with one of its hashes. Raises WheelsUnavailable."""
        ranks = _ranks(python, architecture)
        found = {path: sha256_of(path) for path in sorted(self.directory.glob("*.whl"))}
        chosen = []
        for package in lock.needed(python, architecture):
            usable = [
                path for path, digest in found.items() if digest in package.sha256 and _rank(path.name, ranks) >= 0
            ]
            if not usable:
                hint = f"Put the wheel of {package.requirement} there, or fetch with pip instead."
                raise WheelsUnavailable(f"{self.directory} has no wheel of {package.name} that fits.", hint=hint)
            chosen.append(min(usable, key=lambda path: (_rank(path.name, ranks), path.name)))
        return sorted(chosen)


@dataclass(frozen=True)
class PipWheels:
    """Wheels fetched by `pip download` from the index pip is configured for, and kept in `cache`.

    The cache has one directory per set of locked packages and Python; it is complete or not there. Hashes are checked
    whenever it is used, and a directory that does not hold what it should is fetched again.
    """

    cache: Path

    def wheels(self, lock: Lock, python: str, architecture: str = USUAL_ARCHITECTURE) -> list[Path]:
        """One wheel for each package, sorted. Raises WheelsUnavailable, `permanent` unless waiting may help."""
        needed = lock.needed(python, architecture)
        if not needed:
            return []
        kept = self.cache / _cache_key(needed, python, architecture)
        wheels = sorted(kept.glob("*.whl"))
        if mismatch(wheels, needed) is None:
            return wheels
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self.cache) as temporary:
            fetched = Path(temporary) / "wheels"
            _download(lock, needed, (python, architecture), fetched)
            self._keep(fetched, kept, needed)
        wheels = sorted(kept.glob("*.whl"))
        if (wrong := mismatch(wheels, needed)) is not None:
            raise WheelsUnavailable(f"The wheels of {lock.path} cannot be used: {wrong}.")
        return wheels

    def _keep(self, fetched: Path, kept: Path, needed: tuple[LockedPackage, ...]) -> None:
        try:
            fetched.rename(kept)
        except OSError:
            # another builder was faster, or what is kept has been damaged
            if mismatch(sorted(kept.glob("*.whl")), needed) is not None:
                shutil.rmtree(kept)
                fetched.rename(kept)


def mismatch(wheels: list[Path], needed: tuple[LockedPackage, ...]) -> str | None:
    """How these wheels differ from exactly one for each package, as the end of a sentence; None if they do not."""
    return unmatched([(wheel.name, sha256_of(wheel)) for wheel in wheels], needed)


def unmatched(wheels: Iterable[tuple[str, str]], needed: Collection[LockedPackage]) -> str | None:
    """The same for wheels of which only name and sha256 are known."""
    missing = {package.requirement: package.sha256 for package in needed}
    for wheel, digest in wheels:
        owner = next((name for name, digests in missing.items() if digest in digests), None)
        if owner is None:
            return f"{wheel} has no hash that is still wanted"
        del missing[owner]
    return f"there is none for {', '.join(sorted(missing))}" if missing else None


def _cache_key(needed: tuple[LockedPackage, ...], python: str, architecture: str) -> str:
    lines = [python, *platforms(architecture), *(package.line() for package in needed)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _download(lock: Lock, needed: tuple[LockedPackage, ...], machine: tuple[str, str], target: Path) -> None:
    python, architecture = machine
    # pip evaluates markers for the Python it runs on; the servers' are resolved in `needed`
    requirements = target.with_name("needed.txt")
    requirements.write_text("".join(f"{package.line()}\n" for package in needed))
    argv = [sys.executable, "-I", "-m", "pip", "download", "--no-input", "--progress-bar=off"]
    # without a retry pip does not tell a line that is down from a package that is not there
    argv += ["--retries=3", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    argv += [
        "--implementation=cp",
        f"--python-version={python}",
        *(f"--platform={tag}" for tag in platforms(architecture)),
    ]
    argv += [f"--dest={target}", f"--requirement={requirements}"]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_PIP_DEADLINE, check=False,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        message = f"pip did not fetch the wheels of {lock.path} within {_PIP_DEADLINE} s."
        raise WheelsUnavailable(message, hint="Check the network and build again.", permanent=False) from error
    if done.returncode:
        raise _explained(lock, machine, done.stderr)


def _explained(lock: Lock, machine: tuple[str, str], stderr: str) -> WheelsUnavailable:
    errors = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    told = " ".join(errors[-1:] or stderr.strip().splitlines()[-1:]) or "pip gave no reason"
    where = f"Python {machine[0]} on Linux {machine[1]}"
    message = f"pip cannot fetch the wheels of {lock.path} for {where}: {told.rstrip('.')}."
    if "DO NOT MATCH THE HASHES" in stderr:
        return WheelsUnavailable(
            f"A file that pip fetched for {lock.path} has another hash than the lock.",
            hint="Somebody may have tampered with the index or the line: find out before recompiling the lock.",
        )
    if "No matching distribution" in stderr:
        hint = "It may publish only a source archive, or nothing for this Python: lock another version or package."
        # an index that cannot be reached looks the same, but pip has warned of it
        unreachable = "connection" in stderr.lower()
        hint = "The package index cannot be reached: check the network and build again." if unreachable else hint
        return WheelsUnavailable(message, hint=hint, permanent=not unreachable)
    return WheelsUnavailable(message, hint="Check the network and pip's configuration.", permanent=False)


@cache
def _ranks(python: str, architecture: str) -> dict[Tag, int]:
    """What a server can use, the best first."""
    version, tags = tuple(int(part) for part in python.split(".")), platforms(architecture)
    usable = chain(
        cpython_tags(version, platforms=tags),
        compatible_tags(version, interpreter=f"cp{version[0]}{version[1]}", platforms=tags),
    )
    return {tag: rank for rank, tag in enumerate(usable)}


def _rank(wheel: str, ranks: dict[Tag, int]) -> int:
    """The place of a wheel's best tag among the supported ones, or -1."""
    return min((ranks[tag] for tag in _tags(wheel) if tag in ranks), default=-1)


def _tags(wheel: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()
