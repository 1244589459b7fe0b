"""What a deployment changes on a server: the files that differ from the release that ran there before."""

import logging
from dataclasses import dataclass

from deployments.models import Deployment, Release
from deployments.releases.artifacts import open_release
from engine.errors import PortalError

logger = logging.getLogger(__name__)
MOST = 200  # paths of each kind; the rest is counted


@dataclass(frozen=True)
class Changes:
    """Paths against one earlier release; `unknown` says why there is no comparison."""

    base: str
    servers: list[str]
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def count(self) -> int:
        """Files that differ."""
        return len(self.added) + len(self.changed) + len(self.removed)

    @property
    def listed(self) -> list[tuple[str, str]]:
        """Sign and path of each, shortened."""
        signed = (("+", self.added), ("~", self.changed), ("−", self.removed))
        return [(sign, path) for sign, paths in signed for path in paths[:MOST]]


def changes(deployment: Deployment) -> list[Changes]:
    """One comparison for each release that the servers ran before. Reads the artifacts: not for a page that polls."""
    bases: dict[Release | None, list[str]] = {}
    for target in deployment.targets.all():
        bases.setdefault(target.base_release, []).append(target.server.name)
    return [_compared(deployment.release, base, servers) for base, servers in bases.items()]


def _compared(release: Release, base: Release | None, servers: list[str]) -> Changes:
    if base is None:
        return Changes("", servers, unknown="The first release on this server: everything is new.")
    if base == release:
        return Changes(base.identifier, servers, unknown="The same release runs there already.")
    try:
        with open_release(release) as new, open_release(base) as old:
            diff = new.manifest.diff(old.manifest)
    except (PortalError, OSError) as error:
        logger.warning("comparing %s with %s: %s", release, base, error)
        return Changes(
            base.identifier, servers, unknown="The artifacts cannot be read, so the files cannot be compared."
        )
    return Changes(base.identifier, servers, diff.added, diff.changed, diff.removed)
