"""What can go wrong in the conversation with a server that we reach.

PortalError
├── TargetError
│   ├── NotProvisioned    the server has no tree to put a release into (run provision)
│   ├── SudoRefused       sudo does not let the bootstrap account become root
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


class SudoRefused(TargetError):
    """sudo does not let the bootstrap account become root: a wrong password, or no right to."""

    reason = "sudo_refused"


class ProvisionFailed(TargetError):
    """An operation failed; what came before it was done, and is not done again next time."""

    reason = "provision_failed"

    def __init__(self, message: str, *, reports: "Sequence[Report]", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reports = list(reports)
