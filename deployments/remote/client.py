"""The portal's side of the conversation with the agent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from deployments.remote.plan import FileEntry, RolePlan, RunPlan
from deployments.ssh.session import Session

Record = dict[str, Any]
"""One line of the agent: kind "step", "log" or "result", with seq, at and deployment."""


class ArtifactReader(Protocol):
    """What can produce the files of a release, as `plans.artifact` does."""

    def tar_size(self, paths: Sequence[str]) -> int:
        """Bytes of the tar of these paths."""

    def tar_of(self, paths: Sequence[str], into: IO[bytes]) -> None:
        """Write the uncompressed tar."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a verb ended on the server.

    `status`: succeeded, failed (nothing had to be undone), reverted, cancelled, interrupted (needs a person), running
    (somebody else's run goes on) or none (nothing to do). `reason` is a stable word, `sentence` for people, `seq` the
    number of the result in the journal (0: not journalled).
    """

    status: str
    reason: str
    sentence: str
    seq: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class AgentClient:
    """Speaks with the agent of one release tree (/opt/<name>) over an open session.

    Every method raises LinkLost when the line is cut (with `last_seq` of what had arrived), RemoteDeadline when the
    agent exceeds its own deadline by far, RemoteFailed when it crashes. What the agent refuses is a Result.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name

    def run(self, plan: RunPlan, artifact: ArtifactReader, on_record: Callable[[Record], None]) -> Result:
        """Carry a plan out; `on_record` gets every step and log record as it arrives."""
        raise NotImplementedError

    def revert(self, deployment: str, fence: int, on_record: Callable[[Record], None]) -> Result:
        """Undo a run of this deployment that had succeeded here, because another server failed."""
        raise NotImplementedError

    def cancel(self, deployment: str, fence: int, on_record: Callable[[Record], None]) -> Result:
        """End a running run, have it restore what it began, and prove that nothing of it is left."""
        raise NotImplementedError

    def recover(self, on_record: Callable[[Record], None]) -> Result:
        """Settle whatever run was left unfinished; tells the last run's result when there is nothing to settle."""
        raise NotImplementedError

    def journal(self, deployment: str, after: int = 0) -> list[Record]:
        """The records of a deployment with seq > after."""
        raise NotImplementedError

    def inspect(self, *, roles: Sequence[RolePlan] = (), hash_releases: Sequence[str] = ()) -> dict[str, Any]:
        """What is true on the server now; changes nothing and waits for nobody."""
        raise NotImplementedError

    def verify(
        self, release: str, version: str, roles: Sequence[RolePlan], *, require_connected: str = "auto"
    ) -> Result:
        """The verification of a run, on what runs now; changes nothing."""
        raise NotImplementedError

    def secret(self, name: str, version: int, value: bytes) -> Result:
        """Deliver a secret; the units read it at their next start."""
        raise NotImplementedError

    def matches(self, manifest: Sequence[FileEntry], release: str) -> Result:
        """Whether the release lies there whole: every file with its hash and mode, and nothing else."""
        raise NotImplementedError
