"""What can be asked for in an environment, each release with what became of it, and what a request would do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.environments.guards import frozen
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.releases.diffs import FileChange, configuration_changes
from deployments.releases.origin import taken_by
from deployments.requests.choices import choose_release
from deployments.requests.hook_effects import no_way_back
from deployments.requests.release_records import ReleaseRecord, records_of
from deployments.requests.rollback_targets import rollback_snapshot
from deployments.requests.server_plans import ServerPlan, server_plans
from deployments.requests.snapshots import take_snapshot
from deployments.snapshot import SealedHook
from engine.errors import PortalError

RELEASES = 50
_NUMBER = re.compile("[0-9]{1,15}")


@dataclass(frozen=True)
class Preview:
    """What a request would seal now. Nothing of it is kept."""

    servers: Sequence[ServerPlan]
    steps: Sequence[str]
    hooks: Sequence[SealedHook]
    no_way_back: str
    units: Sequence[str]
    configuration: Sequence[FileChange]
    approvals: int
    expected_seconds: float | None
    locked: str
    again: bool
    """Whether each of the servers runs the release already."""

    @property
    def bases(self) -> list[str]:
        """The versions, each once, that its servers run now; empty where nothing runs yet."""
        return list(dict.fromkeys(one.base_version for one in self.servers if one.base_version))

    @property
    def files(self) -> int:
        """Files beside packages that differ, on the server where most do."""
        return max((one.files for one in self.servers), default=0)

    @property
    def packages(self) -> int:
        """The same of packages."""
        return max((one.packages for one in self.servers), default=0)

    @property
    def bytes(self) -> int:
        """What is sent, to all servers together."""
        return sum(one.bytes for one in self.servers)


def offers(environment: Environment, named: str = "") -> list[ReleaseRecord]:
    """Releases that the environment takes and whose artifact is here, newest first; any other one too that is `named`.

    Three queries.
    """
    rows = Release.objects.exclude(artifact="")
    if environment.application:
        rows = rows.filter(name=environment.application)
    newest = list(rows.filter(taken_by(environment))[:RELEASES])
    older = rows.filter(pk=int(named)) if _NUMBER.fullmatch(named) else rows.none()
    return records_of([*newest, *(row for row in older if row not in newest)])


def chosen(environment: Environment, found: Sequence[ReleaseRecord], named: str) -> ReleaseRecord | None:
    """The one of `found` that is named by its number; where none is named the first choice, if there is one.

    The plan and the form both ask here.
    """
    return next((one for one in found if str(one.release.pk) == named), None) if named else _first(environment, found)


def _first(environment: Environment, found: Sequence[ReleaseRecord]) -> ReleaseRecord | None:
    """What a command would take that names no release, where it is newer than what is live there.

    Else the newest after that which nothing speaks against. Where there is none, nothing: what runs already, and what
    failed or was rejected, is for a person to choose.
    """
    try:
        meant = choose_release(environment).pk
    except PortalError:
        meant = None
    live = next((one for one in found if one.live_on(environment.name)), None)
    newer = found[: found.index(live)] if live is not None else found
    best = next((one for one in newer if one.release.pk == meant), None)
    return best or next((one for one in newer if not one.doubtful), None)


def preview(*, actor: Actor, environment: Environment, release: Release, back: bool = False) -> Preview:
    """What a request of `release`, or going `back` to it, would do now.

    Raises NotAllowed, InvalidRequest for what does not fit.
    """
    require(actor, Verb.VIEW, environment)
    snapshot = (rollback_snapshot if back else take_snapshot)(environment=environment, release=release)
    last = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED).order_by("-finished_at").first()
    before = last.sealed.configuration.files if last is not None else {}
    mask = Mask.for_environment(environment.pk)
    servers, plan = server_plans(release, snapshot), snapshot.carried_out
    return Preview(
        servers=servers,
        steps=plan.steps,
        hooks=plan.hooks,
        no_way_back=no_way_back(plan.hooks),
        units=sorted({name for target in snapshot.targets for name in target.unit_files}),
        configuration=configuration_changes(before, snapshot.configuration.files, mask),
        approvals=snapshot.policy.approvals_required,
        expected_seconds=selectors.expected_seconds(environment, Kind.ROLLBACK if back else Kind.DEPLOYMENT),
        locked=frozen(environment),
        again=bool(servers) and all(one.base == release.identifier for one in servers),
    )
