"""One portal, two hosts, four applications in environments of four names: none ever notices another's fate.

The CyTube bot, the example service, a web application behind a socket with a worker, and a loop; the last three share
a host. Each is deployed, broken and reverted, rolled back, moved to the other host and removed, and after each of these
the other three are, to the byte and the process, as they were. Two applications of this are in
`test_two_applications.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployments.core.actors import shell_actor
from deployments.environments.secrets import set_secret
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release, Server
from sandbox.cytube.config import SANDBOX_PASSWORD
from sandbox.hosts import Host, HostSet
from tests.dashboard.test_on_a_real_server import cytube
from tests.stories.applications import BOT, DICE, SHOP, TICKER, Project
from tests.stories.running import shell, wait_for
from tests.stories.saying import said

pytestmark = [pytest.mark.hosts, pytest.mark.full]


@dataclass
class Hall:
    """The portal's two hosts and what is where."""

    hosts: HostSet
    scratch: Path
    places: dict[str, tuple[Host, Server]] = field(default_factory=dict)

    def does(self, *command: str) -> str:
        """A management command that must end well."""
        code, words = said(*command)
        assert code == 0, (command, words)
        return words

    def settle_in(self, project: Project, host: Host, name: str) -> None:
        """Enrol and provision the host for it, without a word about accounts or ports."""
        where = ["--host", host.address, "--port", str(host.port)]
        if not any(known.address == host.address for known, _ in self.places.values()):
            where += ["--fingerprint", host.fingerprint]
        self.does("enroll", name, "--environment", project.where, *where)
        release = Release.objects.filter(name=project.name).order_by("pk")[0].identifier
        self.does("provision", name, "--release", release, "--bootstrap-key", str(self.hosts.bootstrap_key))
        self.places[project.name] = host, Server.objects.get(name=name)
        for secret in project.secrets:
            home = Environment.objects.get(application=project.name)
            set_secret(actor=shell_actor("tester"), environment=home, name=secret, value=SANDBOX_PASSWORD)

    def built(self, project: Project, version: str, *, broken: bool = False) -> str:
        """A release of it, by the command."""
        tree = project.tree(self.scratch, version, broken=broken)
        self.does("build_release", "--source", str(tree))
        return Release.objects.get(name=project.name, version=version).identifier

    def carried_out(self, *command: str) -> Deployment:
        """What a command asked for, carried out."""
        self.does(*command, "--no-wait")
        deployment = Deployment.objects.latest("pk")
        execute(deployment.pk)
        deployment.refresh_from_db()
        return deployment

    def runs(self, project: Project, version: str) -> None:
        """It runs this version, by the portal's own proof and its own word, and nothing differs from the record."""
        host, _ = self.places[project.name]
        self.does("verify", project.where)
        self.does("drift", project.where)
        assert shell(host, f"cat /opt/{project.name}/current/VERSION") == version
        if project.url:
            answer = f'"version":"{version}"'
            wait_for(lambda: answer in shell(host, f"curl -s -m 5 {project.url}").replace(" ", ""), answer)

    def traces(self, but: Project) -> dict[str, str]:
        """Everything of the other applications on their hosts, with their processes."""
        return {
            each.name: shell(self.places[each.name][0], each.trace(self.places[each.name][1].user))
            for each in (BOT, DICE, SHOP, TICKER)
            if each != but and each.name in self.places
        }


@pytest.fixture
def hall(
    hosts_factory: Callable[..., HostSet], transactional_db: None, state_dir: Path, tmp_path: Path
) -> Iterator[Hall]:
    """Four applications in service: three on the first host, the bot on the second."""
    hosts = hosts_factory(2)
    with cytube(hosts.gateway) as domain:
        hall = Hall(hosts, tmp_path)
        for project, number in ((DICE, 1), (SHOP, 1), (TICKER, 1), (BOT, 2)):
            hall.does("environments", "add", project.where, "--approvals", "0")
            release = hall.built(project, "1.0.0")
            if project is BOT:
                Environment.objects.filter(name=BOT.environment).update(configuration={"bot.json": {"domain": domain}})
            Environment.objects.filter(name=project.environment).update(bake_seconds=0)
            before = hall.traces(but=project)
            hall.settle_in(project, hosts.host(number), f"{project.name}-a")
            deployment = hall.carried_out("deploy", project.where, "--release", release)
            assert deployment.status == Status.SUCCEEDED, deployment.sentence
            hall.runs(project, "1.0.0")
            assert hall.traces(but=project) == before
        yield hall
        hosts.down()


def test_each_is_broken_reverted_rolled_back_moved_and_removed_and_no_other_notices(hall: Hall) -> None:
    for project in (DICE, SHOP, TICKER, BOT):
        before = hall.traces(but=project)
        assert sorted(before) == sorted({"dice-bot", "shop", "ticker", "rosey-bot"} - {project.name})

        better, worse = hall.built(project, "1.1.0"), hall.built(project, "1.2.0", broken=True)
        assert hall.carried_out("deploy", project.where, "--release", better).status == Status.SUCCEEDED
        hall.runs(project, "1.1.0")
        broken = hall.carried_out("deploy", project.where, "--release", worse)
        assert broken.status == Status.ROLLED_BACK, broken.sentence
        hall.runs(project, "1.1.0")
        assert hall.traces(but=project) == before

        back = hall.carried_out("rollback", project.where, "--reason", "to see")
        assert (back.status, back.release.version) == (Status.SUCCEEDED, "1.0.0"), back.sentence
        hall.runs(project, "1.0.0")
        assert hall.traces(but=project) == before

        moved(hall, project)
        assert hall.traces(but=project) == before
    for project in (SHOP, BOT, TICKER, DICE):
        host, server = hall.places[project.name]
        before = hall.traces(but=project)
        removed(hall, server)
        assert hall.traces(but=project) == before
        assert shell(host, project.remains()) == ""
        del hall.places[project.name]


def moved(hall: Hall, project: Project) -> None:
    """Its host gives it up, and the other one takes it in: under another name in the same environment."""
    old, _ = hall.places.pop(project.name)
    new = next(host for host in hall.hosts.hosts if host.address != old.address)
    removed(hall, Server.objects.get(name=f"{project.name}-a"))
    assert shell(old, project.remains()) == ""
    hall.settle_in(project, new, f"{project.name}-b")
    deployment = hall.carried_out("deploy", project.where, "--release", "1.0.0")
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    hall.runs(project, "1.0.0")


def removed(hall: Hall, server: Server) -> None:
    hall.does("decommission", server.name, "--delete-data", "--bootstrap-key", str(hall.hosts.bootstrap_key))
