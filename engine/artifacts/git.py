"""One commit of a git repository as a tree of files, read from the object store: no checkout, no hooks, no filters."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

from engine.artifacts.errors import ReleaseTooLarge, TooManyFiles, UnknownRef, UnknownSource
from engine.artifacts.git_shield import TIMEOUT, environment, shielded
from engine.artifacts.source import LARGEST, MOST_FILES, NEVER, NEVER_SUFFIX, Entry, Kind

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE = ("--no-replace-objects", "--no-pager")  # nothing may pretend to be another object

_ENTRIES = {
    "100644": Entry(Kind.FILE),
    "100664": Entry(Kind.FILE),
    "100755": Entry(Kind.FILE, executable=True),
    "120000": Entry(Kind.LINK),
    "160000": Entry(Kind.SUBMODULE),
}
_SPECIAL = Entry(Kind.SPECIAL)
_CHUNK, _LONGEST_NAME = 1 << 16, 1 << 20  # bytes


class _GitSaysNo(Exception):
    """It ended with an error; its sentence."""


@dataclass(frozen=True)
class Repository:
    """A directory within a repository; `prefix` is the directory's path in it, empty or ending with `/`."""

    directory: Path
    prefix: str
    bare: bool

    def commit(self, ref: str) -> str:
        """The commit that a branch, tag or abbreviated id names. Raises UnknownRef."""
        argv = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        where = f"The repository at {self.directory}"
        if ref.isprintable():  # no name of git's is anything else, and not all of it can be an argument
            answer = _git(self.directory, *argv)
            if answer.returncode == 0:
                return answer.stdout.decode().strip()
        if ref == "HEAD":
            raise UnknownRef(f"{where} has no commit yet.", hint="Commit something first.")
        hint = "See `git branch -a` and `git tag`; fetch it if need be."
        raise UnknownRef(f"{where} has no commit, tag or branch {ref!r}.", hint=hint)

    def object_at(self, ref: str) -> str:
        """What a ref names itself: of an annotated tag the tag, not its commit."""
        return self._checked("rev-parse", "--verify", "--quiet", "--end-of-options", ref).decode().strip()

    def tag_at(self, commit: str, names: Iterable[str]) -> str:
        """The first tag of these names that is at `commit`; empty where none is."""
        for name in names:
            with suppress(UnknownRef):
                if self.commit(f"refs/tags/{name}") == commit:
                    return name
        return ""

    def tree(self, commit: str) -> "GitTree":
        """The files of a commit below this directory."""
        return GitTree(self, commit)

    def changed(self) -> tuple[str, ...]:
        """Paths below the directory that differ from HEAD or are not tracked; ignored files do not count."""
        argv = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignore-submodules=dirty", "--no-renames")
        lines = _names(self._checked(*argv, "--", "."))
        return tuple(sorted(line[3:].removeprefix(self.prefix) for line in lines))

    def subjects(self, since: str, until: str, *, limit: int = 200) -> tuple[str, ...]:
        """Subjects of the commits after `since` up to `until`, newest first; empty when `since` is no commit here."""
        if not (_COMMIT.fullmatch(since) and _COMMIT.fullmatch(until)):
            return ()
        answer = _git(
            self.directory, "log", f"--max-count={limit}", "--format=%s", "--end-of-options", f"{since}..{until}", "--"
        )
        return tuple(answer.stdout.decode(errors="replace").splitlines()) if answer.returncode == 0 else ()

    def working_files(self) -> tuple[str, ...]:
        """Paths below the directory that are tracked, or could be because no ignore rule covers them."""
        listed = _names(self._checked("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."))
        return tuple(sorted({name.rstrip("/") for name in listed}))

    def _checked(self, *argv: str) -> bytes:
        answer = _git(self.directory, *argv)
        if answer.returncode:
            raise UnknownSource(f"git cannot read {self.directory}: {_sentence(answer.stderr)}")
        return answer.stdout


class GitTree:
    """The files of one commit. A context manager: it keeps one git process for reading them."""

    def __init__(self, repository: Repository, commit: str) -> None:
        self.repository = repository
        self.commit = commit
        self._reader: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None
        self._over = threading.Event()
        self._shield = ExitStack()

    @cached_property
    def _listing(self) -> dict[str, tuple[Entry, str]]:
        tree = f"{self.commit}:{self.repository.prefix}"
        try:
            return self._listed(_told(self.repository.directory, "ls-tree", "-r", "-z", "--full-tree", tree))
        except _GitSaysNo as error:
            if self.repository.prefix:
                return {}  # the commit does not have this directory
            raise UnknownSource(f"git cannot list commit {self.commit}: {error}") from error

    def _listed(self, lines: Iterable[bytes]) -> dict[str, tuple[Entry, str]]:
        found: dict[str, tuple[Entry, str]] = {}
        for number, line in enumerate(lines):
            if number >= MOST_FILES:
                raise TooManyFiles(f"Commit {self.commit[:10]}", MOST_FILES)
            facts, _, path = os.fsdecode(line).partition("\t")
            mode, _, identifier = facts.split(" ")
            if not (path.endswith(NEVER_SUFFIX) or not NEVER.isdisjoint(path.split("/"))):
                found[path] = (_ENTRIES.get(mode, _SPECIAL), identifier)
        return found

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Everything in the commit, except what no release ever contains."""
        return {path: entry for path, (entry, _) in self._listing.items()}

    def read(self, path: str) -> bytes:
        """The content of a file, or where a symbolic link points, as committed: without filters."""
        return self._read_object(path, self._listing[path][1])

    def _read_object(self, path: str, identifier: str) -> bytes:
        reader = self._reader = self._reader or self._started()
        asked, answers = cast(IO[bytes], reader.stdin), cast(IO[bytes], reader.stdout)
        self._asked = time.monotonic()
        try:
            asked.write(f"{identifier}\n".encode())
            asked.flush()
            header = answers.readline().split()
        except BrokenPipeError:
            header = []
        size = int(header[2]) if len(header) == 3 and header[1] == b"blob" else -1
        if size > LARGEST:
            self._asked = None
            reader.kill()  # what it says is read to its end, else, into memory
            raise ReleaseTooLarge(path, LARGEST)
        content = answers.read(size) if size >= 0 else b""
        answers.read(1 if size >= 0 else 0)  # a line break
        self._asked = None
        if self._over.is_set():
            raise _too_slow(self.repository.directory)
        if len(content) != size:
            hint = "Run `git fsck`, or fetch the commit again."
            raise UnknownSource(f"git cannot read the object {identifier} of {self.commit}.", hint=hint)
        return content

    def _started(self) -> "subprocess.Popen[bytes]":
        reader = subprocess.Popen(
            ["git", *_SAFE, "cat-file", "--batch"],
            cwd=self.repository.directory,
            env=self._shield.enter_context(shielded(self.repository.directory)) or environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._asked, self._over = None, threading.Event()
        threading.Thread(target=self._watch, args=(reader, self._over, TIMEOUT), daemon=True).start()
        return reader

    def _watch(self, reader: subprocess.Popen[bytes], over: threading.Event, timeout: float) -> None:
        """End a git that owes one answer for so long; between questions it may wait, while wheels are fetched."""
        while not over.wait(timeout / 10):
            asked = self._asked
            if asked is not None and time.monotonic() - asked > timeout:
                over.set()
                reader.kill()

    def __enter__(self) -> "GitTree":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._reader is not None:
            self._reader.communicate()  # closes its input, which ends it, and waits
            self._reader = None
        self._shield.close()


def repository_at(directory: Path) -> Repository | None:
    """The repository that `directory` belongs to, or None for a plain directory. Raises UnknownSource."""
    try:
        answer = _git(directory, "rev-parse", "--is-bare-repository", "--show-prefix")
    except FileNotFoundError as error:
        if any((each / ".git").exists() for each in (directory.resolve(), *directory.resolve().parents)):
            raise UnknownSource(f"{directory} is a git repository, but git is not installed.") from error
        return None
    if answer.returncode == 0:
        bare, _, prefix = os.fsdecode(answer.stdout).partition("\n")
        return Repository(directory, prefix.rstrip("\n"), bare == "true")
    if b"not a git repository" in answer.stderr:
        return None
    raise UnknownSource(f"git cannot read {directory}: {_sentence(answer.stderr)}")


def _git(directory: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    try:
        with shielded(directory) as environ:
            return subprocess.run(
                ["git", *_SAFE, *argv],
                cwd=directory,
                env=environ or environment(),
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(directory) from error


def _too_slow(directory: Path) -> UnknownSource:
    return UnknownSource(f"git needs more than {TIMEOUT:g} s to read {directory}.")


def _told(directory: Path, *argv: str) -> Iterator[bytes]:
    """What git says, piece by piece as it comes: each ends with a zero. Raises UnknownSource, _GitSaysNo at its end."""
    with ExitStack() as stack:
        errors = stack.enter_context(TemporaryFile())
        environ = stack.enter_context(shielded(directory)) or environment()
        process = stack.enter_context(
            subprocess.Popen(["git", *_SAFE, *argv], cwd=directory, env=environ, stdout=subprocess.PIPE, stderr=errors)
        )
        stack.callback(process.kill)  # whoever stops listening ends it
        over = threading.Event()

        def stop() -> None:
            over.set()
            process.kill()

        stopping = threading.Timer(TIMEOUT, stop)
        stack.callback(stopping.cancel)
        stopping.start()
        yield from _pieces(cast(IO[bytes], process.stdout))
        failed = process.wait() != 0
        if over.is_set():
            raise _too_slow(directory)
        if failed:
            errors.seek(0)
            raise _GitSaysNo(_sentence(errors.read(10_000)))


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *pieces, rest = (rest + chunk).split(b"\0")
        if len(rest) > _LONGEST_NAME:
            raise UnknownSource(f"A name in the repository has more than {_LONGEST_NAME} bytes.")
        yield from pieces


def _names(listing: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listing.split(b"\0") if name]


def _sentence(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return f"{lines[0].removeprefix('fatal: ').rstrip('.')}."
