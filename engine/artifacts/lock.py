"""A dependency lock: a requirements file in which every package has one version and its hashes."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from engine.artifacts.problems import Problem

USUAL_ARCHITECTURE = "x86_64"
"""Of servers, unless deploy.toml says otherwise; as `uname -m` says it."""
_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash[= ](\w+):([0-9a-fA-F]+)(?=\s|$)")
_RECOMPILE = (
    "Make the lock with `uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links` "
    "or `pip-compile --generate-hashes`."
)


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package of a lock. `sha256` has every file that may stand for it."""

    name: str
    requirement: str
    sha256: frozenset[str]
    marker: Marker | None

    def applies(self, python: str, architecture: str) -> bool:
        """Whether any Linux server (CPython) with this Python, whatever its patch release, needs it."""
        if self.marker is None:
            return True
        return any(self.marker.evaluate(each) for each in servers(python, architecture))

    def line(self) -> str:
        """The requirement with its hashes, without its marker, as pip reads it."""
        return " ".join([self.requirement, *(f"--hash=sha256:{digest}" for digest in sorted(self.sha256))])


@dataclass(frozen=True)
class Lock:
    """A parsed lock; `digest` is the sha256 of the file."""

    path: str
    digest: str
    packages: tuple[LockedPackage, ...]

    def needed(self, python: str, architecture: str = USUAL_ARCHITECTURE) -> tuple[LockedPackage, ...]:
        """What servers with this Python need, sorted by name."""
        found = (each for each in self.packages if each.applies(python, architecture))
        return tuple(sorted(found, key=lambda each: each.line()))


def read_lock(path: str, content: bytes) -> tuple[Lock, list[Problem]]:
    """The lock, and everything in it that cannot be installed from a release."""
    packages: list[LockedPackage] = []
    problems: list[Problem] = []
    text = content.decode(errors="replace")
    for number, line in _logical_lines(text):
        found = _package(f"{path} line {number}", line)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            packages.append(found)
    return Lock(path, hashlib.sha256(content).hexdigest(), tuple(packages)), problems


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments removed, as pip joins them, with the number of their first."""
    joined, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        first = first if joined else number
        if line.endswith("\\") and not _COMMENT.match(line):
            joined += line[:-1] + " "
            continue
        joined = _COMMENT.sub("", joined + line).strip()
        if joined:
            yield first, joined
        joined = ""


def _package(key: str, line: str) -> LockedPackage | Problem:
    if line.startswith("-"):
        option = line.split()[0].partition("=")[0]
        wrong = f"{option!r} is an option, but a release is installed from this file alone, without an index"
        return Problem(key, wrong, _RECOMPILE, "bad_lock")
    words = _HASH.sub("", line)
    try:
        requirement = Requirement(words)
    except InvalidRequirement:
        return Problem(key, f"{words!r} is not a requirement like name==1.2.3", _RECOMPILE, "bad_lock")
    versions = [each for each in requirement.specifier if each.operator == "==" and not each.version.endswith(".*")]
    if requirement.url or len(requirement.specifier) != 1 or not versions:
        return Problem(key, f"{requirement.name} is not locked to one version with ==", _RECOMPILE, "bad_lock")
    digests = frozenset(value.lower() for kind, value in _HASH.findall(line) if kind == "sha256" and len(value) == 64)
    if not digests:
        return Problem(key, f"{requirement.name} has no sha256 hash", _RECOMPILE, "lock_without_hashes")
    try:
        _ = requirement.marker is None or requirement.marker.evaluate(_environment("3.11", 0, "x86_64"))
    except (ValueError, KeyError) as error:  # a variable that only groups of pyproject.toml have is a KeyError
        return Problem(
            key, f"{requirement.name} has a marker that no server can answer: {error}", _RECOMPILE, "bad_lock"
        )
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return LockedPackage(
        requirement.name, f"{requirement.name}{extras}=={versions[0].version}", digests, requirement.marker
    )


def servers(python: str, architecture: str) -> list[dict[str, str]]:
    """The values of markers on Linux servers (CPython) with the first and the last patch release of this Python."""
    return [_environment(python, patch, architecture) for patch in (0, 99)]


def _environment(python: str, patch: int, architecture: str) -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.{patch}",
        "os_name": "posix",
        "platform_machine": architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.{patch}",
        "python_version": python,
        "sys_platform": "linux",
    }
