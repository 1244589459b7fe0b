"""Running the login check of the release that is live on a server, with secrets that are not delivered yet."""

from engine.commands.agent import PYTHON, program
from engine.commands.remote_command import RemoteCommand

TIMEOUT_SECONDS = 60
"""How long the check may take; it is ended then, and what it was given is deleted."""


def trial_command(name: str, release: str) -> RemoteCommand:
    """Run what comes over standard input in the tree of `name`, if this release is the live one there.

    JSON: `role`, `argv`, and the files `config` and `credentials` as tables of text by name.
    """
    return RemoteCommand((*PYTHON, "-c", program("credential_check"), f"/opt/{name}", str(TIMEOUT_SECONDS), release))
