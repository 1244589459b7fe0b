"""Several applications on one machine, by the records: what is refused before anything is asked of the server."""

from typing import Any

import pytest

from deployments.access import trust_anchor
from deployments.core.actors import shell_actor
from deployments.environments.machines import (
    deploying_account,
    refuse_account,
    refuse_clash,
    refuse_second_place,
)
from deployments.environments.registry import add_environment
from deployments.models import Environment, Server
from deployments.people.trusted_keys import anchor_servers
from deployments.releases import artifacts
from deployments.requests.snapshots import take_snapshot
from engine.errors import Conflict, InvalidRequest
from engine.host.provision.ownership import own_account
from tests.deployments.world import World
from tests.fixtures.records import HOST_KEY

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def shared(world: World) -> World:
    """The world's test server, and the environment of another application."""
    Environment.objects.update(application="dice-bot")
    add_environment(actor=world.people["administrator"], application="tea-bot", name="test", approvals=0)
    Server.objects.filter(environment__name="production").update(host_key="ssh-ed25519 AAAA")
    return world


def home(application: str = "tea-bot") -> Environment:
    return Environment.objects.get(application=application, name="test")


def second(shared: World, *, environment: Environment | None = None, **fields: Any) -> Server:
    """A record, not saved, of another server at the address of the first."""
    there = shared.servers["test"]
    values = {"host": there.host, "port": there.port, "user": "tea-bot-deploy", "roles": ["bot"], **fields}
    return Server(name="tea-1", environment=environment or home(), fingerprint="SHA256:x", **values)


def test_another_application_has_a_place_and_an_account_of_its_own(shared: World) -> None:
    there = shared.servers["test"]
    refuse_second_place(second(shared))
    assert deploying_account(home(), there.host, there.port) == "tea-bot-deploy"
    assert deploying_account(home(), "elsewhere.invalid", 22) == "rosey"
    assert len(own_account("x" * 31)) <= 32
    assert own_account("x" * 31) != own_account("x" * 30 + "y")


@pytest.mark.parametrize(
    "alias", [{}, {"host": "another.name.invalid", "host_key": HOST_KEY}, {"port": 2222, "host_key": HOST_KEY}]
)
def test_an_environment_without_approvals_is_no_way_into_a_protected_ones_tree(
    shared: World, alias: dict[str, Any]
) -> None:
    """The same application on the same machine, for another environment, by whatever address it is called."""
    open_environment = add_environment(
        actor=shared.people["administrator"], application="dice-bot", name="trial", approvals=None
    )
    Environment.objects.filter(pk=open_environment.pk).update(approvals_required=0)
    with pytest.raises(Conflict, match="holds dice-bot there"):
        refuse_second_place(second(shared, environment=open_environment, user="dice-bot-deploy", **alias))


@pytest.mark.parametrize("alias", [{}, {"host": "another.name.invalid", "host_key": HOST_KEY}])
def test_no_key_opens_the_trees_of_two_applications(shared: World, alias: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="would open both") as refused:
        refuse_second_place(second(shared, user="rosey", **alias))
    assert "tea-bot-deploy" in refused.value.hint


def test_what_belongs_to_no_application_yet_shares_no_machine(shared: World) -> None:
    nobodys = Environment.objects.create(name="fresh")
    with pytest.raises(Conflict, match="belongs to no application yet"):
        refuse_second_place(second(shared, environment=nobodys))


def test_a_machine_that_was_decommissioned_is_free(shared: World) -> None:
    Server.objects.update(state=Server.State.RETIRED)
    refuse_second_place(second(shared, user="rosey"))


@pytest.mark.parametrize("taken", ["unit dice-bot.service", "account dice-bot", "port 8101"])
def test_what_another_application_has_there_is_refused_by_name(shared: World, taken: str) -> None:
    there = shared.servers["test"]
    kind, _, name = taken.partition(" ")
    other = Server.objects.create(
        name="other-1",
        environment=home(),
        host=there.host,
        port=there.port,
        user=name if kind == "account" else "tea-bot-deploy",
        roles=["bot"],
        host_key=HOST_KEY,
        fingerprint="SHA256:x",
        state=Server.State.PROVISIONED,
        unit_files={name: "0" * 64} if kind == "unit" else {},
        current_release=shared.releases[0] if kind == "port" else None,
    )
    Server.objects.filter(pk=there.pk).update(unit_files={})
    with pytest.raises(Conflict, match=taken) as refused:
        take_snapshot(environment=home("dice-bot"), release=shared.releases[1])
    assert refused.value.reason == "taken_on_machine" if kind != "port" else True
    Server.objects.filter(pk=other.pk).update(state=Server.State.RETIRED)
    assert take_snapshot(environment=home("dice-bot"), release=shared.releases[1])


def test_provisioning_makes_two_accounts_and_no_other(shared: World) -> None:
    for user in ("rosey", "tea-bot-deploy"):
        refuse_account(second(shared, user=user), "tea-bot")
    for user in ("root", "dice-bot-deploy", "tea-bot"):
        with pytest.raises(InvalidRequest, match="provisioning makes"):
            refuse_account(second(shared, user=user), "tea-bot")


def test_alone_on_its_machine_a_release_clashes_with_nothing(shared: World) -> None:
    with artifacts.open_release(shared.releases[0]) as reader:
        refuse_clash([shared.servers["test"]], reader.deploy)


def test_a_machine_is_anchored_to_the_strictest_of_its_applications(shared: World) -> None:
    for name, application in (("strict", "tea-bot"), ("loose", "ale-bot")):
        environment = Environment.objects.create(application=application, name=name, order=90)
        if name == "strict":
            Environment.objects.filter(pk=environment.pk).update(signed_approvals=True, approvals_required=2, order=80)
        Server.objects.create(
            name=f"{name}-1",
            environment=environment,
            host="both.invalid",
            user=own_account(application),
            roles=["bot"],
            host_key=shared.servers["test"].host_key,
            fingerprint="SHA256:x",
        )
    anchor_servers(actor=shell_actor("tester"))
    (held,) = trust_anchor.anchored([shared.servers["test"].host_key])
    assert held.approvals == 2
