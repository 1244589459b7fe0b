"""The servers of a request, as its snapshot names them."""

from deployments.models import Deployment, Server, Target
from deployments.snapshot import Snapshot


def write_targets(deployment: Deployment, snapshot: Snapshot) -> list[str]:
    """Write one target per server of the deployment's snapshot, in its order, instead of those it had.

    Returns the names; runs in the caller's transaction.
    """
    by_name = {server.name: server for server in Server.objects.filter(environment=deployment.environment)}
    deployment.targets.all().delete()
    Target.objects.bulk_create(
        Target(
            deployment=deployment,
            server=by_name[target.server],
            order=order,
            base_release=by_name[target.server].current_release,
        )
        for order, target in enumerate(snapshot.targets)
    )
    return [target.server for target in snapshot.targets]
