"""An environment: pip comes up while the files arrive, and what it has installed is compiled while it goes on."""

from __future__ import annotations

import os
import select
import stat
import sys
from typing import Any, Dict, Iterator, List, NoReturn, Set

from .errors import StepFailed
from .files import discard, names_in, read_bytes, sha256_file
from .limits import Record
from .processes import Tools
from .tree import Tree

NOT_MADE = 125
"""The exit code when there is no environment to install into."""
_MAKE = '"$1" -I -m venv --without-pip "$2" || exit %d; shift 2; exec "$@"' % NOT_MADE
_FILL = "import importlib, sys; sys.path.append(sys.argv[1]); importlib.import_module(sys.argv[2]).fill(sys.argv[3:])"
_LOOK_EVERY = 0.01  # s
_COMPILERS = 8


def start_environments(tree: Tree, tools: Tools, plan: Record) -> Dict[str, Any]:
    """Begin those that are not there, by their digests; each is filled once a line comes on its standard input.

    One that is there and no good stays until its step: something may run with it, and the run may end before.
    """
    release = tree.release(plan["release"])
    wanted = {role["env_digest"]: role["lock"] for role in plan["roles"] if role["env_digest"]}
    missing = {digest: lock for digest, lock in wanted.items() if not os.path.lexists(os.path.join(tree.envs, digest))}
    return {digest: start_environment(tree, tools, digest, release, lock) for digest, lock in missing.items()}


def start_environment(tree: Tree, tools: Tools, digest: str, release: str, lock: str) -> Any:
    """Make an empty environment, and have pip wait there until it is told that the wheels have arrived.

    Without a pip of its own, which would take longer to install than most locks: ensurepip's copy serves all.
    """
    path = os.path.join(tree.envs, digest)
    if os.path.lexists(path):
        discard(path)
    pip = [pip_to_run(os.path.basename(tree.root)), "install", "--no-compile", "--no-index", "--no-cache-dir"]
    pip += ["--no-warn-conflicts", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes"]
    pip += ["--find-links", wheels_of(release, lock), "-r", os.path.join(release, lock)]
    fill = [os.path.join(path, "bin", "python"), "-I", "-B", "-c", _FILL, *_ourselves(), path, *pip]
    return tools.start(["/bin/sh", "-c", _MAKE, "sh", sys.executable, path, *fill], tree.root, feeding=True)


def wheels_of(release: str, lock: str) -> str:
    """Where the wheels of a release's lock lie."""
    return os.path.join(release, "wheels", os.path.splitext(os.path.basename(lock))[0])


def _ourselves() -> List[str]:
    """Where this module is imported from, and its name: packed, it is the agent itself."""
    directory, name = os.path.abspath(__file__), __name__
    if name == "__main__":
        name = os.path.splitext(os.path.basename(directory))[0]
    for _ in name.split("."):
        directory = os.path.dirname(directory)
    return [directory, name]


def bundled_pip() -> str:
    """The pip that Python's ensurepip carries (Debian: python3-pip-whl), a wheel that it is run from."""
    import ensurepip

    directories = [
        getattr(ensurepip, "_WHEEL_PKG_DIR", None),
        os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"),
    ]
    for directory in filter(None, directories):
        for name in names_in(directory):
            if name.startswith("pip-") and name.endswith(".whl"):
                return os.path.join(directory, name)
    raise StepFailed("environment_failed", "This server's Python has no ensurepip; run provision, which installs it.")


def kept_pip_path(name: str) -> str:
    """Where provisioning keeps that pip compiled."""
    return "/var/lib/cytube-ops/%s.pip.zip" % name


def pip_to_run(name: str) -> str:
    """The pip that root keeps compiled, if it is made from the one that Python carries now; else that one itself."""
    wheel, kept = bundled_pip(), kept_pip_path(name)
    made_from = "%s sha256 %s" % (sys.implementation.cache_tag, sha256_file(wheel))
    try:
        roots = roots_alone(os.path.dirname(kept)) and roots_alone(kept)
        return kept if roots and read_bytes(kept).endswith(made_from.encode()) else wheel
    except OSError:
        return wheel


def roots_alone(path: str) -> bool:
    """Whether this is root's, no link, and nobody else may write to it."""
    status = os.lstat(path)
    return status.st_uid == 0 and not stat.S_ISLNK(status.st_mode) and not status.st_mode & 0o022


def fill(argv: List[str]) -> NoReturn:
    """In the environment's own Python: be a pip that waits until it is told to go on. Ends with pip's exit code."""
    import runpy

    path, wheel, *words = argv
    sys.path.insert(0, wheel)
    _bring_up_pip()
    if not sys.stdin.readline():
        sys.exit(1)  # the run ended before
    compilers = _Compilers(os.path.join(path, "lib"))
    sys.argv[:] = ["pip", *words]
    try:
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    finally:
        compilers.finish()
    sys.exit(0)


def _bring_up_pip() -> None:
    """Compile and load what an installation needs, most of a second; a pip that has it elsewhere does so later."""
    import importlib

    try:
        importlib.import_module("pip._internal.cli.main")
        importlib.import_module("pip._internal.commands.install")
    except Exception:  # noqa: BLE001 - it is only about time, and pip itself says what is wrong
        return


class _Compilers:
    """A process for each core, eight at most; each compiles its share of the packages, and at the end what is left."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._end, write_end = os.pipe()
        count = min(os.cpu_count() or 1, _COMPILERS)
        self._children = [os.fork() or self._compile(write_end, number, count) for number in range(count)]
        self._write_end = write_end

    def finish(self) -> None:
        """Until all is compiled; what is no Python of this version stays without."""
        os.close(self._write_end)
        for child in self._children:
            os.waitpid(child, 0)

    def _compile(self, write_end: int, number: int, count: int) -> NoReturn:
        import compileall
        import zlib

        try:
            os.close(write_end)
            seen: Set[str] = set()
            over = False
            while not over:
                over = bool(select.select([self._end], [], [], _LOOK_EVERY)[0])
                for source in _sources_below(self._library) if over else _newly_installed(self._library, seen):
                    if zlib.crc32(os.fsencode(source)) % count == number:
                        compileall.compile_file(source, quiet=2)
        finally:
            os._exit(0)


def _newly_installed(library: str, seen: Set[str]) -> Iterator[str]:
    """The sources of the packages that pip has put in place since, every file of them: then it writes INSTALLER."""
    packages = os.path.join(library, "python%d.%d" % sys.version_info[:2], "site-packages")
    for name in names_in(packages):
        if name not in seen and os.path.exists(os.path.join(packages, name, "INSTALLER")):
            seen.add(name)
            with open(os.path.join(packages, name, "RECORD"), encoding="utf-8", errors="surrogateescape") as record:
                paths = [line.rsplit(",", 2)[0] for line in record]
            yield from (os.path.join(packages, path) for path in paths if path.endswith(".py") and ".." not in path)


def _sources_below(library: str) -> Iterator[str]:
    for directory, _, names in os.walk(library):
        yield from (os.path.join(directory, name) for name in names if name.endswith(".py"))
