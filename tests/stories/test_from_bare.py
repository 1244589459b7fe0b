"""From `make run` and one freshly booted bare server: to a connected bot, and to everything under TLS. Timed."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from deployments.backup.portal_probe import ask_over_tls
from engine.commands.moving import CA_CERTIFICATE
from sandbox.cytube.config import SANDBOX_PASSWORD
from sandbox.demo.portal import CommandFailed, DemoPortal
from sandbox.hosts import Host, HostSet
from tests.dashboard.test_on_a_real_server import cytube
from tests.stories.test_monitoring_role import ROOT, until
from tests.stories.test_portal_role import Visitor

pytestmark = [pytest.mark.hosts, pytest.mark.monitoring, pytest.mark.full]
BESIDE_THE_BOT = "http://127.0.0.1:8080"
MOST_LINES = 45
"""Of a provisioning of a bare server; with every line of its units it was about 290."""
FIVE = ("cytube-bot", "cytube-web", "cytube-worker", "cytube-prometheus", "cytube-alertmanager")


@dataclass
class Start:
    """A portal on one's own machine, with a release, and one bare server."""

    portal: DemoPortal
    hosts: HostSet
    took: dict[str, float] = field(default_factory=dict)

    @property
    def host(self) -> Host:
        """The server."""
        return self.hosts.host(1)

    def does(self, command: str, *arguments: str, person: str = "admin", stdin: str = "") -> str:
        """A management command and how long it took."""
        began = time.monotonic()
        said = self.portal.manage(command, *arguments, person=person, stdin=stdin)
        self.took[command] = self.took.get(command, 0.0) + time.monotonic() - began
        return said

    def deploy(self, name: str, *roles: str) -> None:
        """From enrolling to a deployment that has ended well; provisioning again changes nothing and says so."""
        where = ("--environment", "test", "--host", self.host.address, "--fingerprint", self.host.fingerprint)
        key = ("--bootstrap-key", str(self.hosts.bootstrap_key))
        self.does("enroll", name, *where, *(word for role in roles for word in ("--role", role)))
        lines = self.does("provision", name, *key).splitlines()
        assert len(lines) < MOST_LINES, "\n".join(lines)
        assert lines[-2].startswith(f"Every line of it: {self.portal.url}/admin/deployments/operation/")
        assert lines[-1] == "Next: manage.py set_secret test cytube-password, then manage.py deploy test."
        self.does("set_secret", "test", "cytube-password", stdin=SANDBOX_PASSWORD)
        self.does("deploy", "test", person="operator")
        again = self.portal.manage("provision", name, *key, person="admin")
        assert "nothing changed" in again, again

    def active(self, *units: str) -> bool:
        """Whether all of these services are."""
        said = self.host.root(["systemctl", "is-active", *units], check=False).stdout.decode()
        return said.split() == ["active"] * len(units)

    def tell(self) -> None:
        """The times, for the report."""
        whole = sum(self.took.values())
        print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.took.items()), f"= {whole:.1f} s")


@pytest.fixture
def start(hosts_factory: Callable[..., HostSet]) -> Iterator[Start]:
    hosts = hosts_factory(1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    portal = DemoPortal(ROOT / ".state" / "from-bare", port, hosts.gateway)
    portal.reset()
    portal.environment["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    portal.environment.pop("DATABASE_URL", None)
    with cytube(hosts.gateway) as domain:
        portal.start()
        try:
            portal.wait_until_up()
            portal.make_accounts({"test": {"bot.json": {"domain": domain, "portal_url": BESIDE_THE_BOT}}})
            portal.manage("build_release", "--ref", "HEAD")
            yield Start(portal, hosts)
        finally:
            portal.stop()
            hosts.down()


def test_a_bare_server_ends_with_a_connected_bot(start: Start) -> None:
    start.deploy("test-1", "bot")
    start.tell()
    health = json.loads(start.host.root(["curl", "-s", "http://127.0.0.1:8001/api/health"]).stdout)
    assert health["connected"] is True


def test_a_bare_server_ends_with_everything_under_tls(start: Start) -> None:
    start.deploy("ops-1", "bot", "portal", "monitoring")
    start.does("install_portal", "ops-1", "--bootstrap-key", str(start.hosts.bootstrap_key))
    start.tell()
    until(lambda: start.active(*FIVE, "caddy"), 30, "all services")
    authority = start.host.root(["cat", CA_CERTIFICATE]).stdout.decode()
    assert ask_over_tls(start.host.address, authority).in_charge
    visitor = Visitor(start.host.address)
    status, headers, body = visitor.get("/api/health/ops-1")
    assert (status, headers.get("X-Source")) == (200, "bot"), body
    assert json.loads(body)["connected"] is True
    until(lambda: b"connected" in visitor.get("/")[2].lower(), 60, "the bot's first heartbeat on the new portal's page")
    with pytest.raises(CommandFailed, match=f"has moved to https://{start.host.address}"):
        start.portal.manage("deploy", "test", person="operator")
    assert "moved" in start.portal.manage("audit", "export", person="admin")
