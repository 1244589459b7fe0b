"""A portal that deploys to the machine it runs on.

The restart of that machine's units ends the very worker that asked for it, and the agent waits for that end. So the
worker lets go when the restart begins: the agent goes on alone, and the workers that it starts, of the new release or
after a revert of the old one, write down how it ended (`execution.reaper`).
"""

from deployments.core.read_only import has_host_key
from deployments.snapshot import SealedTarget
from engine.remote.result import Record

HANDED_OVER = (
    "This is the portal's own server: its agent goes on alone from here, and the workers it starts write down the end."
)


def restarts_us(target: SealedTarget, record: Record) -> bool:
    """Whether with this record the agent begins to restart the workers that listen to it."""
    beginning = record.get("kind") == "step" and (record.get("step"), record.get("state")) == ("restart", "begin")
    return beginning and "portal" in target.roles and has_host_key(target.host_key)
