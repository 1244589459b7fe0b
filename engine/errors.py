"""The errors people and programs meet.

PortalError                     something expected went wrong; carries `reason`, `hint` and `permanent` (HTTP 409)
├── InvalidRequest              the input cannot be used as it is (exit code 2, HTTP 422)
│   └── NotFound                no such environment, server, release or deployment (exit code 2, HTTP 404)
├── NotAllowed                  this actor may not do that (exit code 1, HTTP 403)
├── Conflict                    the world has moved on since the caller looked (exit code 1, HTTP 409)
│   ├── EnvironmentBusy         another deployment is active (exit code 8)
│   └── NotApproved             rejected, expired or superseded, or its seal is broken (exit code 4)
└── TargetError                 a server said no or cannot be reached (exit code 1, HTTP 502)

Other rooms derive theirs from these in their own modules. Exit code and HTTP status stand on the class, so that the
command line, the API and the pages cannot disagree. Every `reason` is an id too (`ops-environment-busy`), which leads
to its entry in docs/troubleshooting.md.
"""

from engine.redaction import redacted


def error_id(reason: str) -> str:
    """`environment_busy` → `ops-environment-busy`."""
    return f"ops-{reason.replace('_', '-')}"


class PortalError(Exception):
    """An expected failure.

    `reason` is a stable word for programs, the message one sentence for people, `hint` what to do next;
    `permanent` says that trying again without a change cannot help. Neither sentence repeats a credential.
    """

    reason = "failed"
    permanent = True
    exit_code = 1
    http_status = 409

    def __init__(self, message: str, *, hint: str = "", reason: str = "", permanent: bool | None = None) -> None:
        self.message, self.hint = redacted(message), redacted(hint)
        super().__init__(self.message)
        if reason:
            self.reason = reason
        if permanent is not None:
            self.permanent = permanent

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def id(self) -> str:
        """What its entry in docs/troubleshooting.md is found by."""
        return error_id(self.reason)

    @property
    def said(self) -> str:
        """The sentence as a terminal shows it: with its id at the end."""
        return f"{self} [{self.id}]"


class InvalidRequest(PortalError):
    """The input cannot be used as it is."""

    reason = "invalid"
    exit_code = 2
    http_status = 422


class NotFound(InvalidRequest):
    """What was named does not exist."""

    reason = "not_found"
    http_status = 404


class NotAllowed(PortalError):
    """The actor's roles, or four eyes, forbid it."""

    reason = "not_allowed"
    http_status = 403


class Conflict(PortalError):
    """The state has changed since the caller looked."""

    reason = "conflict"
    permanent = False


class EnvironmentBusy(Conflict):
    """Another deployment of the environment is active."""

    reason = "environment_busy"
    exit_code = 8


class NotApproved(Conflict):
    """Approval is missing, was refused, has expired, or no longer covers what would happen."""

    reason = "not_approved"
    exit_code = 4
    permanent = True


class TargetError(PortalError):
    """A server refused, failed or could not be reached."""

    reason = "target_failed"
    http_status = 502
