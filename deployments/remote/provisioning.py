"""Make a server ready: send the operations and the interpreter that carries them out, read what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from deployments.ssh.session import Session


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one operation.

    `state` is "ok" (it was so already), "changed" (or would be, when only planned) or "failed"; `before` and `after`
    are short descriptions or digests; `facts` is filled by the operation that looks at the machine.
    """

    operation: str
    name: str
    state: Literal["ok", "changed", "failed"]
    sentence: str
    before: str = ""
    after: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def provision(
    session: Session, operations: Sequence[dict[str, Any]], *, plan: bool = False, sudo: bool = True
) -> list[Report]:
    """Apply `operations` (see commands.provisioning) in order, or with `plan` only say what would change.

    `sudo`: the account is not root. Raises RemoteFailed when an operation fails (reports up to it are in the error's
    `reports`), LinkLost when the line is cut; running it again goes on from where it was.
    """
    raise NotImplementedError
