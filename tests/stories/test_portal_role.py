"""Portal and monitoring on one real server, from a bare machine: TLS in front, sandboxed, back after everything."""

import contextlib
import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.core.read_only import NotInCharge
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Environment, Move
from deployments.releases.builds import store_artifact
from deployments.servers.decommissioning import decommission_server
from deployments.servers.enrolment import enrol_server
from deployments.servers.provisioning import changed
from engine.artifacts.artifact import Artifact, build_artifact
from engine.artifacts.wheels import PipWheels
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import PrivateKey
from sandbox.hosts import HostSet
from tests.stories.moving import answer_of, move
from tests.stories.test_monitoring_role import ACTOR, ROOT, StandInPortal, Watching, until

pytestmark = [pytest.mark.hosts, pytest.mark.monitoring]

OURS = ("cytube-web", "cytube-worker", "cytube-prometheus", "cytube-alertmanager")
FIVE = (*OURS, "caddy")
BESIDE = (
    *("cytube-backup.service", "cytube-backup.timer", "cytube-web.socket"),
    *("rosey-bot-recover.service", "rosey-bot-firewall.service"),
)


def build(directory: Path, change: Callable[[Path], None] = lambda tree: None) -> Artifact:
    """This project, after `change`, with the roles portal and monitoring; wheels are kept between runs."""
    tree = directory / "tree"
    for name in (
        "portal",
        "dashboard",
        "alerting",
        "deployments",
        "engine",
        "monitoring",
        "systemd",
        "docs",
        "requirements",
    ):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "VERSION", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    text = (ROOT / "deploy.toml").read_text()
    bot = text[text.index("[roles.bot]") : text.index("[roles.portal]")]
    environments = text[text.index("[environments.test.roles.bot]") :]
    text = text.replace(bot, "").replace(environments, "").replace('"botcore", ', "")
    (tree / "deploy.toml").write_text(
        text + '[environments.test.config]\n"monitoring.json" = "monitoring/settings.json"\n'
    )
    change(tree)
    return build_artifact(tree, None, PipWheels(ROOT / ".state" / "wheels"), directory / "built")


@pytest.fixture
def portal_host(
    hosts_factory: Callable[..., HostSet], transactional_db: None, state_dir: Path, tmp_path: Path
) -> Iterator[Watching]:
    hosts = hosts_factory(1)
    machine = hosts.host(1)
    with contextlib.ExitStack() as stack:
        nobody = StandInPortal(hosts.gateway)
        stack.callback(nobody.stop)
        stack.callback(hosts.down)
        server = enrol_server(
            actor=ACTOR,
            name="ops-1",
            environment=Environment.objects.get(name="test"),
            host=machine.address,
            port=machine.port,
            user="rosey",
            roles=["portal", "monitoring"],
            fingerprint=machine.fingerprint,
            confirm=lambda *_: False,
        )
        release, _ = store_artifact(actor=ACTOR, artifact=build(tmp_path), ref="", builder="tests")
        yield Watching(machine, server, release, nobody, hosts)


class Visitor:
    """Somebody outside, over TLS; Caddy's internal CA is nobody's they know."""

    def __init__(self, address: str, timeout: float = 10.0) -> None:
        self.address, self.timeout = address, timeout

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.address, timeout=self.timeout, context=context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def sees_a_healthy_portal(self) -> bool:
        try:
            status, _, body = self.get("/healthz")
        except (OSError, http.client.HTTPException):
            return False
        return status == 200 and json.loads(body)["status"] == "ok"


def test_a_bare_server_becomes_the_portal_with_its_watchers(portal_host: Watching) -> None:
    portal_host.provision()
    assert [report.name for report in changed(portal_host.provision())] == []
    deployment = portal_host.deploy()
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    visitor = Visitor(portal_host.machine.address)
    until(visitor.sees_a_healthy_portal, 120, "the portal behind TLS")

    move_and_prove(portal_host)
    for path in ("/prometheus/", "/alertmanager/"):
        status, headers, _ = visitor.get(path)
        assert status == 302
        assert headers["Location"].endswith(f":8443{path}")

    def active() -> bool:
        return portal_host.said("systemctl", "is-active", *FIVE).split() == ["active"] * len(FIVE)

    until(active, 120, "all five services")
    for unit in (*(f"{name}.service" for name in FIVE), *BESIDE):
        said = portal_host.said("systemd-analyze", "verify", "--man=no", unit)
        assert [line for line in said.splitlines() if unit in line] == []
        if unit.endswith(".service"):
            score = portal_host.said("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
            assert float(score.partition(": ")[2].split()[0]) <= 2.5, (unit, score)
    for unit in FIVE:
        before = portal_host.said("systemctl", "show", "-P", "MainPID", f"{unit}.service")
        portal_host.machine.root(["systemctl", "kill", "--signal=KILL", f"{unit}.service"])

        def another(unit: str = unit, before: str = before) -> bool:
            return portal_host.said("systemctl", "show", "-P", "MainPID", f"{unit}.service") not in (before, "0")

        until(lambda: another() and active(), 120, f"{unit} after kill -9")
    until(visitor.sees_a_healthy_portal, 120, "the portal after kill -9")

    interesting = {*range(1, 1100), 3000, 5432, 6379, *range(8000, 8100), 8443, *range(9090, 9100)}
    assert {port for port in interesting if answers(portal_host.machine.address, port)} == {22, 80, 443, 8443}

    portal_host.machine.power_off()
    portal_host.machine.power_on()
    until(active, 90, "all five services after a power cut")
    until(visitor.sees_a_healthy_portal, 120, "the portal after a power cut")
    nothing_is_left_when_it_is_decommissioned(portal_host)


def nothing_is_left_when_it_is_decommissioned(portal_host: Watching) -> None:
    Move.objects.all().delete()  # the one there is decommissioned, so the one here is in charge again
    key = PrivateKey(portal_host.hosts.bootstrap_key.read_text())
    decommission_server(actor=ACTOR, server=portal_host.server, bootstrap=Bootstrap("root", (key,)))
    assert portal_host.said("systemctl", "is-active", *FIVE, *BESIDE).split() == ["inactive"] * (
        len(FIVE) + len(BESIDE)
    )
    assert portal_host.said(
        "sh", "-c", "find /etc -name '*cytube-*' -o -name '*rosey-bot*.*'; ls /etc/caddy/Caddyfile"
    ) == ("ls: cannot access '/etc/caddy/Caddyfile': No such file or directory")
    assert portal_host.said("find", "/opt/rosey-bot", "-type", "f", "-not", "-path", "*/shared/data/*") == ""
    assert "portal.sqlite3" in portal_host.said("ls", "/var/lib/rosey-portal"), "the state of the portal stays"
    assert {port for port in (22, 80, 443) if answers(portal_host.machine.address, port)} == {22}


def move_and_prove(portal_host: Watching) -> None:
    """The portal of this test moves into that server, which watches it from then on."""
    moved = move(portal_host)
    there = answer_of(portal_host)
    assert (there.release, there.in_charge) == (portal_host.release.identifier, True)
    last = int(moved.head.partition(":")[0])
    assert AuditEvent.objects.get(sequence=last).name == "portal.move_began"
    assert there.head.startswith(f"{last + 2}:")  # restored, arrived
    with pytest.raises(NotInCharge, match=moved.url):
        portal_host.deploy()
    assert move(portal_host).head == moved.head  # once more, and nothing changes
    assert answer_of(portal_host).head == there.head

    def watched() -> bool:
        asked = "http://127.0.0.1:9090/api/v1/query?query=up%7Bjob%3D%22portal%22%7D"
        said = portal_host.said("python3", "-c", f"import urllib.request as u; print(u.urlopen('{asked}').read())")
        return '"1"' in said

    until(watched, 120, "Prometheus to read the portal's metrics")


def answers(address: str, port: int) -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.02)  # the host is on this machine: what is open answers within a millisecond
        return probe.connect_ex((address, port)) == 0
