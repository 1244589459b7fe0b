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

from deployments.lifecycle import Status
from deployments.models import Environment, Release
from deployments.plans.artifact import build_artifact
from deployments.plans.wheels import PipWheels
from deployments.services.decommissioning import decommission_server
from deployments.services.provisioning import changed
from deployments.services.releases import store_artifact
from deployments.services.servers import enrol_server
from deployments.ssh.keys import PrivateKey
from sandbox.hosts import HostSet
from tests.operations.test_monitoring_role import ACTOR, ROOT, StandInPortal, Watching, until

pytestmark = [pytest.mark.hosts, pytest.mark.monitoring]

OURS = ("cytube-web", "cytube-worker", "cytube-prometheus", "cytube-alertmanager")
FIVE = (*OURS, "caddy")
BESIDE = (
    *("cytube-backup.service", "cytube-backup.timer", "cytube-web.socket"),
    *("rosey-bot-recover.service", "rosey-bot-firewall.service"),
)


def build(directory: Path) -> Release:
    """This project as a release with the roles portal and monitoring; wheels are kept between runs."""
    tree = directory / "tree"
    for name in ("portal", "deployments", "dashboard", "monitoring", "systemd", "docs", "requirements"):
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
    wheels = PipWheels(ROOT / ".state" / "wheels")
    artifact = build_artifact(tree, None, wheels, directory / "built")
    release, _ = store_artifact(actor=ACTOR, artifact=artifact, ref="", builder="tests")
    return release


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
        yield Watching(machine, server, build(tmp_path), nobody, hosts)


class Visitor:
    """Somebody outside, over TLS; Caddy's internal CA is nobody's they know."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.address, timeout=10, context=context)
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
    until(visitor.sees_a_healthy_portal, 60, "the portal behind TLS")

    for path in ("/prometheus/", "/alertmanager/"):
        status, headers, _ = visitor.get(path)
        assert status == 302
        assert headers["Location"].startswith("/admin/login/?next=%2F")

    def active() -> bool:
        return portal_host.said("systemctl", "is-active", *FIVE).split() == ["active"] * len(FIVE)

    until(active, 60, "all five services")
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

        until(lambda: another() and active(), 15, f"{unit} after kill -9")
    until(visitor.sees_a_healthy_portal, 60, "the portal after kill -9")

    interesting = {*range(1, 1100), 3000, 5432, 6379, *range(8000, 8100), *range(9090, 9100)}
    assert {port for port in interesting if answers(portal_host.machine.address, port)} == {22, 80, 443}

    portal_host.machine.power_off()
    portal_host.machine.power_on()
    until(active, 90, "all five services after a power cut")
    until(visitor.sees_a_healthy_portal, 60, "the portal after a power cut")
    nothing_is_left_when_it_is_decommissioned(portal_host)


def nothing_is_left_when_it_is_decommissioned(portal_host: Watching) -> None:
    key = PrivateKey(portal_host.hosts.bootstrap_key.read_text())
    decommission_server(actor=ACTOR, server=portal_host.server, bootstrap_user="root", bootstrap_key=key)
    assert portal_host.said("systemctl", "is-active", *FIVE, *BESIDE).split() == ["inactive"] * (
        len(FIVE) + len(BESIDE)
    )
    assert portal_host.said(
        "sh", "-c", "find /etc -name '*cytube-*' -o -name '*rosey-bot*.*'; ls /etc/caddy/Caddyfile"
    ) == ("ls: cannot access '/etc/caddy/Caddyfile': No such file or directory")
    assert portal_host.said("find", "/opt/rosey-bot", "-type", "f", "-not", "-path", "*/shared/data/*") == ""
    assert "portal.sqlite3" in portal_host.said("ls", "/var/lib/rosey-portal"), "the state of the portal stays"
    assert {port for port in (22, 80, 443) if answers(portal_host.machine.address, port)} == {22}


def answers(address: str, port: int) -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.02)  # the host is on this machine: what is open answers within a millisecond
        return probe.connect_ex((address, port)) == 0
