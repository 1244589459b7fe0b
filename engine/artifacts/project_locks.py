"""The locks of uv and Poetry (uv.lock, poetry.lock) as requirements files: what the project itself needs on servers.

Its groups (`dev` and the like) and its own extras are no part of that; extras that it asks of others are. Markers are
resolved here, for one Python and architecture, so that what comes out has none.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from packaging.markers import Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from engine.artifacts.lock import servers
from engine.artifacts.problems import Problem, key_path
from engine.artifacts.toml_input import read_toml

_SIGN = b"[[package]]"
_BY_TOOL = {"uv.lock": "uv", "poetry.lock": "Poetry"}
_INDEX = "Lock a version of it that an index has, or copy its code into the tree."


class _File(BaseModel):
    hash: str = ""


class _Needed(BaseModel):
    name: str
    version: str = ""
    marker: str = ""
    extra: tuple[str, ...] = ()


class _OfUv(BaseModel):
    name: str
    version: str = ""
    source: dict[str, Any]
    dependencies: tuple[_Needed, ...] = ()
    extras: dict[str, tuple[_Needed, ...]] = Field(default={}, alias="optional-dependencies")
    markers: tuple[str, ...] = Field(default=(), alias="resolution-markers")
    sdist: _File = _File()
    wheels: tuple[_File, ...] = ()


class _UvLock(BaseModel):
    version: int
    python: str = Field(default="", alias="requires-python")
    package: tuple[_OfUv, ...]


def _of_main(markers: object) -> object:
    """One marker for all groups, or a table of them by group."""
    return markers.get("main", "") if isinstance(markers, dict) else markers


class _OfPoetry(BaseModel):
    name: str
    version: str
    groups: tuple[str, ...]
    markers: Annotated[str, BeforeValidator(_of_main)] = ""
    files: tuple[_File, ...] = ()
    source: dict[str, Any] = {}


class _PoetryMetadata(BaseModel):
    version: str = Field(alias="lock-version")
    python: str = Field(default="", alias="python-versions")


class _PoetryLock(BaseModel):
    metadata: _PoetryMetadata
    package: tuple[_OfPoetry, ...]


class _Servers(NamedTuple):
    """What the release is for."""

    python: str
    architecture: str

    def take(self, marker: str) -> bool:
        """Whether any of them needs what has this marker. Raises InvalidMarker."""
        return not marker or _needed_by(marker, self)

    def fit(self, versions: str) -> bool:
        """Whether a lock for these Pythons is one for theirs."""
        try:
            return any(SpecifierSet(versions).contains(each["python_full_version"]) for each in servers(*self))
        except InvalidSpecifier:
            return True  # in words of its own tool, such as ^3.11


@lru_cache(maxsize=20_000)
def _needed_by(marker: str, machines: _Servers) -> bool:
    return any(Marker(marker).evaluate(each) for each in servers(*machines))


class _Unusable(Exception):
    """What keeps the lock from being installed, and what to do."""

    def __init__(self, wrong: str, hint: str) -> None:
        super().__init__(wrong)
        self.wrong, self.hint = wrong, hint


def as_requirements(path: str, content: bytes, python: str, architecture: str) -> tuple[bytes, list[Problem]]:
    """A lock of uv's or Poetry's as the requirements file of servers with this Python; any other file as it is."""
    tool = _BY_TOOL.get(path.rpartition("/")[2])
    if tool is None or _SIGN not in content:
        return content, []
    machines = _Servers(python, architecture)
    try:
        raw = read_toml(content.decode())
        lines = sorted(set(_of_uv(raw, machines) if tool == "uv" else _of_poetry(raw, machines)))
    except _Unusable as error:
        return content, [Problem(path, error.wrong, error.hint, "bad_lock")]
    except ValidationError as error:
        place = key_path(error.errors()[0]["loc"])
        return content, [Problem(path, f"has something at {place} that {tool} does not write", *_again(tool))]
    except (ValueError, KeyError, RecursionError) as error:  # an unknown variable of a marker is a KeyError
        return content, [Problem(path, f"cannot be read: {error}".rstrip("."), *_again(tool))]
    head = f"# What Python {python} on Linux {architecture} needs of this lock of {tool}, as pip reads it.\n"
    return "".join([head, *lines]).encode(), []


def _again(tool: str) -> tuple[str, str]:
    return f"Make it again with `{tool.lower()} lock`.", "bad_lock"


def _of_uv(raw: dict[str, Any], machines: _Servers) -> Iterator[str]:
    lock = _UvLock.model_validate(raw)
    if lock.version != 1:
        raise _Unusable(f"is a lock of version {lock.version}; 1 is known here", "Lock with another uv.")
    _refuse_other_python(lock.python, machines)
    named: dict[str, list[_OfUv]] = {}
    for package in lock.package:
        named.setdefault(package.name, []).append(package)
    roots = [each for each in lock.package if "." in (each.source.get("virtual"), each.source.get("editable"))]
    if not roots:
        raise _Unusable(
            "does not say which package is the project at its own place", "Lock in the project's directory."
        )
    waiting = deque((need, machines.take(need.marker)) for need in roots[0].dependencies)
    seen: set[tuple[str, str, str]] = set()
    known: set[tuple[str, str, tuple[str, ...]]] = set()
    while waiting:
        need, taken = waiting.popleft()
        if not taken or (asked := (need.name, need.version, need.extra)) in known:
            continue
        known.add(asked)
        package = _chosen(need, named.get(need.name, []), machines)
        for extra in ("", *need.extra):
            if (key := (package.name, package.version, extra)) in seen:
                continue
            seen.add(key)
            more = package.extras.get(extra, ()) if extra else package.dependencies
            waiting.extend((each, machines.take(each.marker)) for each in more)
        if set(package.source) != {"registry"}:
            raise _Unusable(f"has {package.name} from {_where(package.source)}, not from an index", _INDEX)
        yield _line(package.name, package.version, [*package.wheels, package.sdist])


def _chosen(need: _Needed, packages: list[_OfUv], machines: _Servers) -> _OfUv:
    """The one that is meant: a lock may have a package in several versions, each for other machines."""
    found = [each for each in packages if need.version in ("", each.version)]
    fitting = [each for each in found if not each.markers or any(map(machines.take, each.markers))]
    if len(fitting) != 1:
        raise _Unusable(f"has {len(fitting)} packages {need.name} where one is needed", "Make it again with `uv lock`.")
    return fitting[0]


def _where(source: dict[str, Any]) -> str:
    return next((f"{kind} {place}" for kind, place in source.items()), "nowhere")


def _of_poetry(raw: dict[str, Any], machines: _Servers) -> Iterator[str]:
    metadata = raw.get("metadata")
    version = metadata.get("lock-version") if isinstance(metadata, dict) else None
    if version != "2.1":
        wrong = f"is a lock of version {version}, and 2.1 alone says which packages are the project's own"
        raise _Unusable(wrong, "Lock with Poetry 2: `poetry lock`.")
    lock = _PoetryLock.model_validate(raw)
    _refuse_other_python(lock.metadata.python, machines)
    for package in lock.package:
        if "main" not in package.groups or not machines.take(package.markers):
            continue
        if package.source and package.source.get("type") != "legacy":  # which is any index but the usual one
            raise _Unusable(f"has {package.name} from {package.source.get('url')}, not from an index", _INDEX)
        yield _line(package.name, package.version, package.files)


def _refuse_other_python(versions: str, machines: _Servers) -> None:
    if not machines.fit(versions):
        wrong = f"is for Python {versions}, and deploy.toml says {machines.python}"
        raise _Unusable(wrong, "Let both say the same, and lock again.")


def _line(name: str, version: str, files: Iterable[_File]) -> str:
    hashes = sorted({file.hash for file in files if file.hash.startswith("sha256:")})
    if not hashes:
        raise _Unusable(f"has no sha256 hash of {name}", "Lock it from an index that tells hashes.")
    return " ".join([f"{canonicalize_name(name)}=={version}", *(f"--hash={digest}" for digest in hashes)]) + "\n"
