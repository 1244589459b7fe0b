"""Reading what an agent keeps on a server: its journal, and the manifests of the releases it has."""

from engine.commands.agent import deploy_directory
from engine.commands.remote_command import RemoteCommand

CAT = "/usr/bin/cat"


def journal_command(name: str) -> RemoteCommand:
    """Print the journal, the part that was rotated away first; a part that is not there is skipped."""
    directory = deploy_directory(name)
    return RemoteCommand((CAT, f"{directory}/journal.old.jsonl", f"{directory}/journal.jsonl"))


def manifest_command(name: str, release: str) -> RemoteCommand:
    """Print the manifest of a release as the server keeps it. Raises ValueError for what is no name of a release."""
    if not release or "/" in release or release.startswith("."):
        raise ValueError(f"{release!r} is no name of a release")
    return RemoteCommand((CAT, f"{deploy_directory(name)}/manifests/{release}.json"))
