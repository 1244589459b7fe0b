"""The servers of a request: in the order that was sealed, with what each of them runs now."""

from deployments.models import Server, Target
from deployments.requests.targets import write_targets
from deployments.snapshot import SealedTarget
from tests.deployments.world import World


def test_targets_are_those_of_the_snapshot_in_its_order_instead_of_what_was_there(world: World) -> None:
    row, other = world.request(environment="test"), world.request()
    for name, release in zip(("a", "b"), world.releases, strict=True):
        Server.objects.create(name=name, environment=world.test, host=f"{name}.invalid", current_release=release)
    targets = tuple(SealedTarget(server=name) for name in ("b", "test-1", "a"))
    assert write_targets(row, row.sealed.model_copy(update={"targets": targets})) == ["b", "test-1", "a"]
    written = Target.objects.filter(deployment=row).order_by("order")
    assert [(each.server.name, each.order, each.base_release) for each in written] == [
        ("b", 0, world.releases[1]),
        ("test-1", 1, None),
        ("a", 2, world.releases[0]),
    ]
    assert other.targets.count() == 1
