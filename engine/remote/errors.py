"""What can go wrong in the conversation with a server that we reach.

PortalError
├── TargetError
│   ├── NotProvisioned    the server has no tree to put a release into (run provision)
│   └── ProvisionFailed   an operation failed; carries the reports up to it
└── SSHError              see ssh.errors: HostUnreachable, LinkLost, RemoteDeadline, RemoteFailed…
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import TargetError

if TYPE_CHECKING:
    from engine.remote.reports import Report


class NotProvisioned(TargetError):
    """The server has no tree to put a release into."""

    reason = "not_provisioned"


class ProvisionFailed(TargetError):
    """An operation failed; what came before it was done, and is not done again next time."""

    reason = "provision_failed"

    def __init__(self, message: str, *, reports: "Sequence[Report]", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reports = list(reports)
