"""Provisioning and a deployment of the same server: whichever has begun, the other one does not begin beside it."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.core.beats import machine
from deployments.core.processes import this_process
from deployments.core.queueing import EXECUTE
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.management.waiting import InlineWorker
from deployments.models import AuditEvent, Deployment, Operation, Server
from deployments.operations import provisioning_here
from deployments.operations.carrying_out import Ending, begin, carry_out, end, settle_lost
from deployments.operations.provisioning import BootstrapAccount, ask_for_provisioning
from deployments.operations.provisioning_here import provision_here
from deployments.requests.approvals import approve
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import PrivateKey, generate_key
from tests.deployments.world import World
from tests.fixtures.scripted_server import until

KEY = generate_key("bootstrap")[0]
DONE = Ending(Operation.State.SUCCEEDED, "provisioned", "Done.")


def ask(world: World, environment: str = "production") -> Operation:
    account = BootstrapAccount("root", KEY)
    server = Server.objects.get(pk=world.servers[environment].pk)
    return ask_for_provisioning(actor=world.people["administrator"], server=server, account=account)


def queued(world: World) -> Deployment:
    row = world.request("operator")
    approve(actor=world.people["approver"], deployment=row)
    return Deployment.objects.get(pk=row.pk)


def executions() -> int:
    return sum(row.task.get("func") == EXECUTE for row in OrmQ.objects.all())


def test_a_deployment_waits_until_its_server_is_provisioned_and_begins_then(world: World) -> None:
    provisioning = begin(ask(world).pk)
    assert provisioning is not None
    row = queued(world)
    OrmQ.objects.all().delete()
    for _ in range(2):
        assert claim(row.pk) is None
    row.refresh_from_db()
    assert (row.status, row.fence) == (Status.QUEUED, None)
    said = list(row.log_lines.values_list("text", flat=True))
    assert said == [f"It waits for the end of {provisioning}, which administrator asked for."]
    assert executions() == 0
    end(provisioning, DONE)
    assert executions() == 1, "its end calls a worker"
    assert claim(row.pk) is not None
    assert AuditEvent.objects.filter(name="deployment.started").count() == 1


def test_nobody_calls_what_has_begun_already(world: World) -> None:
    row = queued(world)
    assert claim(row.pk) is not None
    OrmQ.objects.all().delete()
    stray = Operation.objects.create(
        server=world.servers["production"], kind=Operation.Kind.PROVISION, state=Operation.State.RUNNING
    )
    end(stray, DONE)
    assert executions() == 0


def test_one_of_another_environment_is_in_nobodys_way(world: World) -> None:
    Server.objects.filter(environment=world.production).update(host_key="ssh-ed25519 AAAA")
    assert begin(ask(world, "test").pk) is not None
    assert claim(queued(world).pk) is not None


def test_one_that_waits_for_a_worker_lets_the_deployment_go_first(world: World) -> None:
    provisioning, row = ask(world), queued(world)
    assert claim(row.pk) is not None
    done = carry_out(number=provisioning.pk)
    assert (done.state, done.outcome) == (Operation.State.FAILED, "environment_busy")


def test_a_command_provisions_nothing_beside_a_deployment(world: World) -> None:
    row = queued(world)
    assert claim(row.pk) is not None
    with pytest.raises(PortalError) as refused:
        here(world)
    assert refused.value.reason == "environment_busy"
    assert not Operation.objects.exists()


def here(world: World) -> None:
    server = Server.objects.get(pk=world.servers["production"].pk)
    provision_here(
        actor=world.people["administrator"],
        server=server,
        release=world.releases[1],
        bootstrap=Bootstrap("root", (PrivateKey(KEY),)),
    )


@pytest.fixture
def on_the_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """What happens while a command provisions: no server is there."""

    def let(happen: Callable[[], object]) -> None:
        def stand_in(**_: object) -> list[object]:
            happen()
            return []

        monkeypatch.setattr("deployments.operations.provisioning_here.provision_server", stand_in)

    return let


def test_nothing_is_deployed_beside_a_command_that_provisions(
    world: World, on_the_server: Callable[[Callable[[], object]], None]
) -> None:
    rows: list[Deployment] = []

    def meanwhile() -> None:
        rows.append(queued(world))
        assert claim(rows[0].pk) is None

    on_the_server(meanwhile)
    here(world)
    ended = Operation.objects.get()
    assert (ended.state, ended.outcome, ended.worker) == ("succeeded", "provisioned", this_process())
    assert ended.sentence == "production-1 is provisioned: 0 of 0 things changed."
    assert claim(rows[0].pk) is not None
    names = AuditEvent.objects.filter(name__startswith="service.").order_by("sequence").values_list("name", flat=True)
    assert list(names) == ["service.provision_requested", "service.provision_succeeded"]


def test_a_command_that_was_broken_off_holds_nothing_up(
    world: World, on_the_server: Callable[[Callable[[], object]], None]
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    on_the_server(stop)
    with pytest.raises(KeyboardInterrupt):
        here(world)
    assert Operation.objects.get().state == Operation.State.LOST
    assert claim(queued(world).pk) is not None


def test_one_whose_terminal_was_closed_is_begun_again_at_once(
    world: World, on_the_server: Callable[[Callable[[], object]], None]
) -> None:
    gone = begun_by_a_process_that_is_gone(world)
    on_the_server(lambda: None)
    here(world)
    gone.refresh_from_db()
    assert (gone.state, gone.outcome) == (Operation.State.LOST, "worker_lost")
    assert Operation.objects.exclude(pk=gone.pk).get().state == Operation.State.SUCCEEDED


def begun_by_a_process_that_is_gone(world: World) -> Operation:
    row = begin(ask(world).pk)
    assert row is not None
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    Operation.objects.filter(pk=row.pk).update(worker=f"{machine()}:{process.pid}")
    row.refresh_from_db()
    return row


def test_a_deployment_does_not_wait_half_an_hour_for_a_worker_that_is_gone(world: World) -> None:
    gone, reaper = begun_by_a_process_that_is_gone(world), system_actor("reaper")
    row = queued(world)
    assert settle_lost(actor=reaper) == 0, "what it began on the server may go on for a while"
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=7))
    assert settle_lost(actor=reaper) == 1
    gone.refresh_from_db()
    assert gone.state == Operation.State.LOST
    assert claim(row.pk) is not None


@pytest.mark.parametrize("worker", ["", "elsewhere-ffffff:1", "elsewhere-ffffff:x"])
def test_of_a_process_elsewhere_nobody_says_that_it_is_gone(worker: str, world: World) -> None:
    row = begin(ask(world).pk)
    assert row is not None
    Operation.objects.update(worker=worker, requested_at=timezone.now() - timedelta(minutes=20))
    assert settle_lost(actor=system_actor("reaper")) == 0


def test_a_deployment_run_inline_waits_as_well(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.management.waiting.REAP_SECONDS", 0.05)
    provisioning, row = begin(ask(world).pk), queued(world)
    assert provisioning is not None
    worker = InlineWorker(row.pk)
    worker.start()
    until(lambda: row.log_lines.exists())
    assert not worker.stopped.is_set()
    end(provisioning, DONE)
    until(worker.stopped.is_set)
    row.refresh_from_db()
    assert row.started_at is not None


def test_the_command_looks_again_once_it_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback was asked for and claimed between its being written down and its beginning."""
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    provisioned: list[object] = []

    def late(number: int) -> Operation | None:
        row = request_rollback(actor=world.people["operator"], environment=world.production, reason="it burns")
        assert claim(row.pk) is not None
        return begin(number)

    monkeypatch.setattr(provisioning_here, "begin", late)
    monkeypatch.setattr(provisioning_here, "provision_server", lambda **asked: provisioned.append(asked))
    with pytest.raises(PortalError):
        here(world)
    assert provisioned == []
    assert Operation.objects.get().state == Operation.State.FAILED


def test_a_command_that_takes_long_is_lost_to_nobody_while_it_works(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    seen: list[object] = []

    def long(**_: object) -> list[object]:
        Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=37))
        seen.append(settle_lost(actor=system_actor("reaper")))
        row = request_rollback(actor=world.people["operator"], environment=world.production, reason="it burns")
        seen.append(claim(row.pk))
        return []

    monkeypatch.setattr(provisioning_here, "provision_server", long)
    here(world)
    assert seen == [0, None]
