"""Why a project cannot be made into a release, or an artifact cannot be used.

PlanError                    anything below; carries every `Problem` found, not only the first
├── NoDeployToml             no_deploy_toml       the source has no deploy.toml
├── BadDeployToml            bad_deploy_toml      deploy.toml says something that cannot be
├── UnknownSource            unknown_source       the source is not a readable directory or repository
│   ├── UnknownRef           unknown_ref          the repository has no such commit, tag or branch
│   └── FetchFailed          fetch_failed         a repository elsewhere cannot be fetched (may be the network)
├── SourceRefused            source_refused       the tree holds something a release must not contain
│   ├── DirtyTree            dirty_tree           files differ from the commit
│   ├── PathEscapes          path_escapes         a path leads out of the tree, or cannot be a path on a server
│   ├── SymlinkEscapes       symlink_escapes      a symbolic link leads out of the tree
│   ├── SymlinkBroken        symlink_broken       a symbolic link leads to no file
│   ├── SpecialFile          special_file         a pipe, a device, a submodule, a Git LFS pointer
│   ├── PathClash            path_clash           two paths differ only in case or Unicode form
│   ├── ReservedPath         reserved_path        a name that a release directory needs for itself
│   ├── ReleaseTooLarge      release_too_large    the files of the release are more than one may have
│   └── TooManyFiles         too_many_files       the commit has more files than are looked at
├── FileMissing              missing_file         a unit or template named in deploy.toml is not in the tree
│   ├── MissingVersion       missing_version      no VERSION file, or not one line with a version
│   └── MissingLock          missing_lock         the dependency lock is not in the tree
├── BadUnit                  bad_unit             a unit that would not run this release, or would run it as root
├── BadTemplate              bad_template         a configuration template that cannot be rendered
├── BadLock                  bad_lock             the lock has lines that cannot be installed from a release
│   └── LockWithoutHashes    lock_without_hashes  a requirement of the lock has no sha256
├── WheelsUnavailable        wheels_unavailable   the wheels of the lock cannot be had (may be the network)
├── NotInArtifact            not_in_artifact      the artifact has no such file
└── ArtifactCorrupt          artifact_corrupt     the artifact is not what its digest says
    └── ArtifactIncomplete   artifact_incomplete  not all of it is here, or can be read: it may be only arriving

Beside them stands BadConfiguration, an InvalidRequest: not the project is wrong, but values that somebody has set.
"""

from collections.abc import Iterable, Iterator, Sequence

from engine.artifacts.problems import Problem
from engine.errors import InvalidRequest, PortalError


class PlanError(PortalError):
    """The project or artifact cannot be used; `problems` holds every mistake that was found."""

    reason = "plan_refused"
    http_status = 422

    def __init__(
        self, message: str, *, hint: str = "", permanent: bool | None = None, problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(message, hint=hint, permanent=permanent)
        self.problems = tuple(problems)


class NoDeployToml(PlanError):
    """The source has no deploy.toml."""

    reason = "no_deploy_toml"


class BadDeployToml(PlanError):
    """deploy.toml says something that cannot be."""

    reason = "bad_deploy_toml"


class UnknownSource(PlanError):
    """The source is not a readable directory or repository."""

    reason = "unknown_source"


class UnknownRef(UnknownSource):
    """The repository has no such commit, tag or branch."""

    reason = "unknown_ref"


class FetchFailed(UnknownSource):
    """A repository elsewhere cannot be fetched."""

    reason = "fetch_failed"
    permanent = False


class SourceRefused(PlanError):
    """The tree holds something a release must not contain."""

    reason = "source_refused"


class DirtyTree(SourceRefused):
    """Files differ from the commit, so the release could not be made again."""

    reason = "dirty_tree"


class PathEscapes(SourceRefused):
    """A path leads out of the tree, or cannot be a path on a server."""

    reason = "path_escapes"


class SymlinkEscapes(SourceRefused):
    """A symbolic link leads out of the tree."""

    reason = "symlink_escapes"


class SymlinkBroken(SourceRefused):
    """A symbolic link leads to no file."""

    reason = "symlink_broken"


class SpecialFile(SourceRefused):
    """Neither a file nor a link: a pipe, a device, a submodule, a Git LFS pointer."""

    reason = "special_file"


class PathClash(SourceRefused):
    """Two paths differ only in case or Unicode form."""

    reason = "path_clash"


class ReservedPath(SourceRefused):
    """A name that a release directory needs for itself."""

    reason = "reserved_path"


class ReleaseTooLarge(SourceRefused):
    """More bytes than a release may have."""

    reason = "release_too_large"

    def __init__(self, path: str, limit: int) -> None:
        message = f"With {path} the release has more than {limit / (1 << 20):g} MB."
        super().__init__(message, hint="Keep data out of the release: exclude it, or take it out of the tree.")


class TooManyFiles(SourceRefused):
    """More files than are looked at, whatever is excluded of them."""

    reason = "too_many_files"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            f"{what} has more than {limit:,} files.",
            hint="Give the project a directory of its own, or take data out of the repository.",
        )


class FileMissing(PlanError):
    """A file named in deploy.toml is not in the tree."""

    reason = "missing_file"


class MissingVersion(FileMissing):
    """No VERSION file, or not one line with a version."""

    reason = "missing_version"


class MissingLock(FileMissing):
    """The dependency lock is not in the tree."""

    reason = "missing_lock"


class BadUnit(PlanError):
    """A unit that would not run this release, or would run it as root."""

    reason = "bad_unit"


class BadTemplate(PlanError):
    """A configuration template that cannot be rendered."""

    reason = "bad_template"


class BadLock(PlanError):
    """The lock has lines that cannot be installed from a release."""

    reason = "bad_lock"


class LockWithoutHashes(BadLock):
    """A requirement of the lock has no sha256."""

    reason = "lock_without_hashes"


class WheelsUnavailable(PlanError):
    """The wheels of the lock cannot be had."""

    reason = "wheels_unavailable"


class NotInArtifact(PlanError):
    """The artifact has no such file."""

    reason = "not_in_artifact"


class ArtifactCorrupt(PlanError):
    """The artifact is not what its digest says."""

    reason = "artifact_corrupt"


class ArtifactIncomplete(ArtifactCorrupt):
    """Not all of the artifact is here, or can be read here: it may be only arriving, or another machine may have it."""

    reason = "artifact_incomplete"


class BadConfiguration(InvalidRequest):
    """Values that an environment's configuration cannot have; `place` leads to the first: the file, then keys."""

    reason = "bad_configuration"

    def __init__(self, message: str, *, hint: str = "", place: Sequence[str | int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.place = tuple(place)


def refusal(problems: Sequence[Problem]) -> PlanError:
    """The error for these mistakes: its class follows the first one, its message tells all of them."""
    first = problems[0]
    kind = next((each for each in _descendants(PlanError) if each.reason == first.reason), PlanError)
    if len(problems) == 1:
        return kind(f"{first.key}: {first.wrong}.", hint=first.hint, problems=problems)
    lines = "\n".join(f"- {problem}" for problem in problems)
    return kind(f"{len(problems)} mistakes must be corrected first:\n{lines}", problems=problems)


def _descendants(kind: type[PlanError]) -> Iterator[type[PlanError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _descendants(child)
