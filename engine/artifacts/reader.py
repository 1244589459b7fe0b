"""Reading an artifact: what it holds, single files, and a stream of some of them.

An artifact is one tar, or it was taken apart: then its file is the tar's beginning, the manifest, and the contents lie
in a directory by their sha256 (`contents`). Readers do not tell the difference.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from engine.artifacts import tarstream
from engine.artifacts.deploy_toml import FILE, DeployToml, parse_deploy_toml
from engine.artifacts.errors import ArtifactCorrupt, ArtifactIncomplete, NotInArtifact
from engine.artifacts.manifest import Manifest, ManifestFile
from engine.artifacts.selection import VERSION
from engine.artifacts.version import read_version

MANIFEST = "manifest.json"
MANIFEST_MODE = 0o444

_CHUNK = 128 * 1024
"""Bytes. paramiko sends 32 KiB at a time and copies what is left of a piece each time; ten threads that held a MiB or
three each needed 80 MB more (217 to 237 MB, and 152 with this; `make bench ARGS=fleet`)."""
_MEMBER = attrgetter("path", "mode", "size")
_AGAIN = "Build the release again, or bring the artifact back from a backup."


class ArtifactReader:
    """An artifact opened for reading; a context manager. Several threads may read from it.

    Opening checks the manifest and the length of every file. A content is checked against its sha256 whenever it is
    read, so a damaged artifact never passes for a whole one: ArtifactCorrupt is raised instead.
    """

    def __init__(self, path: Path, digest: str | None = None, contents: Path | None = None) -> None:
        """Open `path`. `digest`, when given, is what its manifest must have; `contents` is where those of artifacts
        that were taken apart lie. Raises ArtifactCorrupt."""
        self.path = path
        self._contents = contents
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ArtifactIncomplete(
                f"The artifact {path.name} cannot be read: {error.strerror}.", hint=_AGAIN
            ) from error
        try:
            self.manifest, self._start = self._read_manifest()
            if digest is not None and self.manifest.digest != digest:
                raise self._corrupt(f"its digest is {self.manifest.digest[:12]}…, not {digest[:12]}…")
            begins, end = tarstream.layout(map(_MEMBER, self.manifest.files), self._start)
            self._begins = dict(zip(self.manifest.by_path, begins, strict=True))
            size = os.fstat(self._descriptor).st_size
            self.apart = contents is not None and size == self._start
            if not self.apart and size != end + len(tarstream.END):
                raise self._incomplete("its length is not what its manifest needs")
            if self.apart:
                self._check_contents()
        except BaseException:
            self.close()
            raise

    def _read_manifest(self) -> tuple[Manifest, int]:
        first = os.pread(self._descriptor, tarstream.BLOCK, 0)
        if len(first) < tarstream.BLOCK:
            raise self._incomplete("it does not begin with a manifest")
        try:
            size = int(first[124:135], 8)
        except ValueError:
            raise self._corrupt("it does not begin with a manifest") from None
        if first != tarstream.header(MANIFEST, MANIFEST_MODE, size):
            raise self._corrupt("it does not begin with a manifest")
        if size > os.fstat(self._descriptor).st_size:
            raise self._incomplete("its manifest is cut off")
        content = os.pread(self._descriptor, size, tarstream.BLOCK)
        return Manifest.from_json(content), tarstream.BLOCK + size + -size % tarstream.BLOCK

    @property
    def digest(self) -> str:
        """The manifest's digest, which identifies the contents."""
        return self.manifest.digest

    @cached_property
    def version(self) -> str:
        """What the VERSION file says."""
        version = read_version(self.read(VERSION))
        if version is None:
            raise self._corrupt("its VERSION file holds no version")
        return version

    @property
    def release_id(self) -> str:
        """The name of the release and of its directory on servers."""
        return release_id(self.version, self.digest)

    @cached_property
    def deploy(self) -> DeployToml:
        """The deploy.toml it was built with."""
        return parse_deploy_toml(self.read(FILE))

    def read(self, path: str) -> bytes:
        """The content of one file. Raises NotInArtifact, ArtifactCorrupt."""
        return b"".join(self.pieces(path))

    def pieces(self, path: str) -> Iterator[bytes]:
        """The same in pieces of at most 128 KiB; the last one only after all of them have proved right."""
        return self._content(self._file(path))

    def beginning(self) -> bytes:
        """The bytes of the tar up to the first file: what stands for an artifact that was taken apart."""
        return os.pread(self._descriptor, self._start, 0)

    def tar(self) -> Iterator[bytes]:
        """All of it, byte for byte as it was built, in pieces. Raises as `tar_of`."""
        yield self.beginning()
        yield from self.tar_of(self.manifest.by_path)

    def tar_of(self, paths: Iterable[str]) -> Iterator[bytes]:
        """A tar with just these files, in the manifest's order, in pieces of about 128 KiB at most.

        It has `tar_size(paths)` bytes. Raises NotInArtifact before the first piece. Raises ArtifactCorrupt before the
        last piece of a damaged file, so a receiver never sees a complete tar with wrong contents.
        """
        return self._pieces(self._files(paths))

    def tar_size(self, paths: Iterable[str]) -> int:
        """Bytes of `tar_of(paths)`. Raises NotInArtifact."""
        return tarstream.layout(map(_MEMBER, self._files(paths)))[1] + len(tarstream.END)

    def verify(self) -> None:
        """Check every file. Raises ArtifactCorrupt for the first that differs from the manifest."""
        for _ in self.tar_of(self.manifest.by_path):
            continue

    def close(self) -> None:
        """Close the file; reading afterwards raises ArtifactCorrupt."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "ArtifactReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _file(self, path: str) -> ManifestFile:
        if path not in self.manifest.by_path:
            raise NotInArtifact(f"The artifact {self.path.name} has no file {path!r}.")
        return self.manifest.by_path[path]

    def _files(self, paths: Iterable[str]) -> list[ManifestFile]:
        return [self._file(path) for path in sorted(set(paths))]

    def _pieces(self, files: list[ManifestFile]) -> Iterator[bytes]:
        held = bytearray()
        for file in files:
            held += tarstream.header(file.path, file.mode, file.size)
            for chunk in self._content(file):
                held += chunk
                if len(held) >= _CHUNK:
                    yield bytes(held)
                    held.clear()
            held += bytes(-file.size % tarstream.BLOCK)
        yield bytes(held + tarstream.END)

    def _content(self, file: ManifestFile) -> Iterator[bytes]:
        """The content in chunks; the last one only after the hash of all of them has proved right."""
        digest, done = hashlib.sha256(), 0
        with self._place(file) as (descriptor, start):
            while True:
                wanted = min(_CHUNK, file.size - done)
                chunk = self._read_at(descriptor, wanted, start + done, file)
                digest.update(chunk)
                done += wanted
                if done == file.size:
                    break
                yield chunk
        if digest.hexdigest() != file.sha256:
            raise self._corrupt(f"the content of {file.path} is not what its manifest says")
        yield chunk

    @contextmanager
    def _place(self, file: ManifestFile) -> Iterator[tuple[int, int]]:
        """The open file that a content is in, and where in it."""
        if not self.apart or self._descriptor < 0:
            yield self._descriptor, self._begins[file.path]
            return
        try:
            descriptor = os.open(self._stored(file), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._incomplete(f"{file.path} cannot be read ({error.strerror})") from error
        try:
            yield descriptor, 0
        finally:
            os.close(descriptor)

    def _stored(self, file: ManifestFile) -> str:
        return f"{self._contents}/{file.sha256[:2]}/{file.sha256}"

    def _check_contents(self) -> None:
        for file in self.manifest.files:
            try:
                size = os.stat(self._stored(file)).st_size  # noqa: PTH116  (of thousands: three times as fast)
            except OSError as error:
                raise self._incomplete(f"{file.path} cannot be read ({error.strerror})") from error
            if size != file.size:
                raise self._incomplete(f"{file.path} has another length than its manifest says")

    def _read_at(self, descriptor: int, size: int, offset: int, file: ManifestFile) -> bytes:
        try:
            chunk = os.pread(descriptor, size, offset)
        except OSError as error:
            raise self._incomplete(f"{file.path} cannot be read ({error.strerror})") from error
        if len(chunk) != size:
            raise self._incomplete(f"{file.path} is cut off")
        return chunk

    def _corrupt(self, why: str) -> ArtifactCorrupt:
        return ArtifactCorrupt(f"The artifact {self.path.name} is damaged: {why}.", hint=_AGAIN)

    def _incomplete(self, why: str) -> ArtifactIncomplete:
        return ArtifactIncomplete(f"The artifact {self.path.name} is damaged: {why}.", hint=_AGAIN)


def open_artifact(path: Path, digest: str | None = None, contents: Path | None = None) -> ArtifactReader:
    """An artifact for reading, checked against `digest` when given. Raises ArtifactCorrupt."""
    return ArtifactReader(path, digest, contents)


def release_id(version: str, digest: str) -> str:
    """The name of a release: its version, and enough of the digest to tell contents apart."""
    return f"{version}-{digest[:12]}"
