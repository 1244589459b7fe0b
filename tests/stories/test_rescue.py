"""The rescue workers are shared: servers of other environments that hang do not hold up production's way back."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from deployments.audit import trail
from deployments.core.actors import shell_actor, system_actor
from deployments.execution import reaper, rescue
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, Release, Server
from deployments.requests.cancellation import cancel
from deployments.requests.rollbacks import request_rollback
from sandbox.hosts import Host, HostSet
from tests.fixtures.fleet import provision_all
from tests.stories.running import wait_for
from tests.stories.world import World

OTHERS = 6


@contextmanager
def relayed(machine: Host) -> Iterator[int]:
    """A port of this machine that leads to the host, so that it can be many servers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, machine), daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # else it would accept for whoever is given the socket's number next
        accepting.join()


def _accept(listener: socket.socket, machine: Host) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.create_connection((machine.address, machine.port))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with closing(sink):
        try:
            while block := source.recv(1 << 16):
                sink.sendall(block)
        except OSError:
            return


def elsewhere(tree: Path) -> None:
    """A release that knows the other environments, too."""
    text = (tree / "deploy.toml").read_text()
    tables = text[text.index("[environments.test") : text.index("[environments.production")]
    copies = "".join(tables.replace("environments.test", f"environments.other-{number}") for number in range(OTHERS))
    (tree / "deploy.toml").write_text(f"{text}\n{copies}")


def another(world: World, number: int, port: int, releases: list[Release]) -> Environment:
    """An environment without a policy whose one server is behind `port`, and where both releases have succeeded."""
    model = Environment.objects.get(name="test")
    home = Environment.objects.create(
        name=f"other-{number}",
        order=number + 5,
        application=model.application,
        private_key=model.private_key,
        public_key=model.public_key,
        bake_seconds=0,
    )
    machine = world.fleet.machines[1]
    Server.objects.create(
        name=f"other-{number}",
        environment=home,
        host="127.0.0.1",
        port=port,
        roles=["bot"],
        host_key=machine.host_key,
        fingerprint=machine.fingerprint,
        state=Server.State.PROVISIONED,
        unit_files=world.fleet.provisioned.unit_files,
        current_release=releases[-1],
    )
    for release in releases:
        succeeded(world.fleet.request(release, home.name))
    return home


def succeeded(deployment: Deployment) -> None:
    """As if it had been carried out."""
    with transaction.atomic():
        Deployment.objects.filter(pk=deployment.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
        trail.record(
            actor=system_actor("worker"),
            name="deployment.succeeded",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
        )


@pytest.mark.hosts
def test_productions_way_back_waits_for_no_server_that_only_says_it_lives(
    hosts_factory: Callable[..., HostSet], tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> None:
    world = World(provision_all(hosts_factory(2)), tmp_path_factory.mktemp("rescue"), "sqlite")
    with django_db_blocker.unblock(), ExitStack() as stack:
        stack.enter_context(world.up())
        stack.enter_context(world.entered())
        old, new = world.release("1.1.0", elsewhere), world.release("1.1.1", elsewhere)
        for release in (old, new):
            assert world.deploy(release).status == Status.SUCCEEDED
        home = Environment.objects.get(name="test")
        Environment.objects.filter(pk=home.pk).update(approvals_required=1)  # from here on it is as production is
        ports = [stack.enter_context(relayed(world.fleet.machines[1])) for _ in range(OTHERS)]
        others = [another(world, number, port, [old, new]) for number, port in enumerate(ports)]
        hang(world.fleet.machines[1])
        for other in others:
            request_rollback(actor=shell_actor("otto"), environment=other, reason="x", to=old)
        hanging = Deployment.objects.executing().filter(environment__in=others)
        wait_for(lambda: hanging.count() >= 2, "two of the others to hang\n" + world.logs())
        for one in hanging:
            cancel(actor=shell_actor("otto"), deployment=one)
        reaper.call_for_settling()
        wait_for(lambda: hanging.exclude(cancel_requested_by="").exists(), "a cancellation to be asked for")
        back = request_rollback(actor=shell_actor("petra"), environment=home, reason="it is broken", to=old)
        wait_for(lambda: ended(back), f"production to be back\n{world.logs()}", deadline=60)
        assert back.status == Status.SUCCEEDED, back.sentence
        assert hanging.exists(), "the others hang still: nothing had to end for it"
        assert AuditEvent.objects.filter(name="deployment.started", subject=f"deployment:{back.pk}").exists()


def hang(machine: Host) -> None:
    """Whatever rosey runs there by SSH says that it lives, and nothing else, for two minutes."""
    line = 'for i in $(seq 120); do echo \'{"kind":"alive"}\'; sleep 1; done'
    machine.root(["sh", "-c", "cat > /home/rosey/.bashrc"], input=f"{line}\n".encode())


def ended(deployment: Deployment) -> bool:
    deployment.refresh_from_db()
    return deployment.ended


@pytest.mark.django_db
class TestTurns:
    """Who gets one of the workers."""

    @pytest.fixture
    def rows(self, make_release: Any, state_dir: Any) -> Callable[..., Deployment]:
        """A rollback in an environment of its own."""

        def make(name: str, protected: bool) -> Deployment:
            home, _ = Environment.objects.get_or_create(
                name=name, defaults={"approvals_required": 1 if protected else 0}
            )
            release = Release.objects.first() or make_release("1.0.0")
            return Deployment.objects.create(
                environment=home,
                release=release,
                kind="rollback",
                status=Status.QUEUED,
                requested_by="x",
                seal="0" * 64,
            )

        return make

    def test_the_last_worker_is_kept_for_production_whatever_the_others_want(
        self, rows: Callable[..., Deployment]
    ) -> None:
        Environment.objects.filter(name="production").update(approvals_required=1)
        back = Deployment.objects.get(pk=rows("production", True).pk)
        others = [rows(f"other-{number}", False) for number in range(rescue.WORKERS + 2)]
        with ExitStack() as stack:
            got = [
                stack.enter_context(rescue.turn(other.pk, work))
                for other in others
                for work in (rescue.EXECUTION, rescue.CANCELLATION, rescue.SETTLING)
            ]
            assert got.count(True) == rescue.WORKERS - 1
            assert stack.enter_context(rescue.turn(back.pk, rescue.EXECUTION)), "production has its worker"
        with rescue.turn(others[-1].pk, rescue.EXECUTION) as ours:
            assert ours, "turns come back"

    def test_one_deployment_has_one_cancellation_at_a_time(self, rows: Callable[..., Deployment]) -> None:
        row = rows("other", False)
        with rescue.turn(row.pk, rescue.CANCELLATION) as first, rescue.turn(row.pk, rescue.CANCELLATION) as second:
            assert (first, second) == (True, False)
        with rescue.turn(row.pk, rescue.CANCELLATION) as again:
            assert again

    def test_two_protected_environments_leave_each_other_one(self, rows: Callable[..., Deployment]) -> None:
        mine, theirs = rows("production", True), rows("stage", True)
        with ExitStack() as stack:
            works = (rescue.EXECUTION, rescue.CANCELLATION, rescue.SETTLING, "more")
            got = [stack.enter_context(rescue.turn(theirs.pk, work)) for work in works]
            assert got.count(True) == rescue.WORKERS - 1
            assert stack.enter_context(rescue.turn(mine.pk, rescue.EXECUTION))

    @pytest.mark.parametrize("protected", [3, 4, 6])
    def test_however_many_protected_environments_there_are_an_open_one_holds_up_none(
        self, rows: Callable[..., Deployment], protected: int
    ) -> None:
        homes = [rows(f"production-{number}", True) for number in range(protected)]
        with ExitStack() as stack:
            opened = [
                stack.enter_context(rescue.turn(rows(f"other-{n}", False).pk, rescue.EXECUTION)) for n in range(4)
            ]
            free = rescue.WORKERS - opened.count(True)
            got = [stack.enter_context(rescue.turn(home.pk, rescue.EXECUTION)) for home in homes]
            assert got.count(True) == min(free, protected)
            assert free >= min(protected, rescue.WORKERS - 1)
