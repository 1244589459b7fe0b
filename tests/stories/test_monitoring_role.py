"""The role monitoring on a real server: provisioned, deployed by the pipeline, kept alive, out of reach."""

import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployments.core.actors import Actor, shell_actor, system_actor
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.releases.builds import store_artifact
from deployments.requests.requests import request_deployment
from deployments.servers.enrolment import enrol_server
from deployments.servers.provisioning import changed, provision_server
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import PrivateKey
from sandbox.hosts import Host, HostSet

pytestmark = [pytest.mark.hosts, pytest.mark.monitoring]

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = ("cytube-alertmanager.service", "cytube-prometheus.service")
ACTOR: Actor = system_actor("tests")


class StandInPortal:
    """What the watchers ask and tell: targets, metrics, and deliveries with the token they came with."""

    def __init__(self, host: str) -> None:
        self.deliveries: list[tuple[str, dict[str, Any]]] = []
        portal = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(b"[]" if self.path.endswith("/targets") else b"portal_queue_oldest_seconds 0\n")

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                portal.deliveries.append((self.headers.get("Authorization", ""), body))
                self.answer(b"")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json" if body[:1] == b"[" else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Watching:
    """A server with the role, its record, and the portal it reports to."""

    machine: Host
    server: Server
    release: Release
    portal: StandInPortal
    hosts: HostSet

    def provision(self) -> list[Any]:
        key = PrivateKey(self.hosts.bootstrap_key.read_text())
        return provision_server(
            actor=ACTOR, server=self.server, release=self.release, bootstrap=Bootstrap("root", (key,))
        )

    def deploy(self) -> Deployment:
        deployment = request_deployment(
            actor=shell_actor("tests"), release=self.release, environment=Environment.objects.get(name="test")
        )
        execute(deployment.pk)
        deployment.refresh_from_db()
        return deployment

    def said(self, *argv: str) -> str:
        done = self.machine.root(list(argv), check=False)
        return (done.stdout + done.stderr).decode().strip()

    def active(self) -> bool:
        return self.said("systemctl", "is-active", *UNITS).split() == ["active", "active"]


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def build(directory: Path) -> Release:
    """This project's own role monitoring as a release, without the bot's packages."""
    tree = directory / "tree"
    shutil.copytree(ROOT / "monitoring", tree / "monitoring", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    (tree / "systemd").mkdir()
    for name in UNITS:
        shutil.copy(ROOT / "systemd" / name, tree / "systemd" / name)
    text = (ROOT / "deploy.toml").read_text()
    role = text[text.index("[roles.monitoring]") : text.index("[deadlines]")]
    head = 'name = "rosey-bot"\npython = "3.11"\ninclude = ["monitoring"]\n'
    tail = '[environments.test.config]\n"monitoring.json" = "monitoring/settings.json"\n'
    (tree / "deploy.toml").write_text(head + role + tail)
    (tree / "VERSION").write_text("1.0.0\n")
    artifact = build_artifact(tree, None, DirectoryWheels(tree), directory / "built")
    release, _ = store_artifact(actor=ACTOR, artifact=artifact, ref="", builder="tests")
    return release


@pytest.fixture
def watching(
    hosts_factory: Callable[..., HostSet], transactional_db: None, state_dir: Path, tmp_path: Path
) -> Iterator[Watching]:
    hosts = hosts_factory(1)
    machine = hosts.host(1)
    with contextlib.ExitStack() as stack:
        portal = StandInPortal(hosts.gateway)
        stack.callback(portal.stop)
        stack.callback(hosts.down)
        home = Environment.objects.get(name="test")
        home.configuration = {
            "monitoring.json": {"portal": {"url": portal.url}, "waits": {"dead_mans_switch": "5s"}},
        }
        home.save()
        server = enrol_server(
            actor=ACTOR,
            name="watch-1",
            environment=home,
            host=machine.address,
            port=machine.port,
            user="rosey",
            roles=["monitoring"],
            fingerprint=machine.fingerprint,
            confirm=lambda *_: False,
        )
        yield Watching(machine, server, build(tmp_path), portal, hosts)


def test_a_bare_server_becomes_the_one_that_watches_and_stays_so(watching: Watching) -> None:
    watching.provision()
    assert changed(watching.provision()) == []
    assert watching.said("systemctl", "is-active", "prometheus", "prometheus-alertmanager").split() == ["inactive"] * 2

    deployment = watching.deploy()
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    until(watching.active, 120, "both services")
    token = watching.said("cat", "/opt/rosey-bot/shared/secrets/monitoring-token")
    until(lambda: watching.portal.deliveries, 150, "the dead man's switch")
    came_with, delivery = watching.portal.deliveries[0]
    assert came_with == f"Bearer {token}"
    assert delivery["alerts"][0]["labels"]["alertname"] == "DeadMansSwitch"

    for unit in UNITS:
        path = f"/etc/systemd/system/{unit}"
        assert watching.said("systemd-analyze", "verify", "--man=no", path) == ""
        score = watching.said("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
        assert float(score.partition(": ")[2].split()[0]) <= 2.5, score
        watching.machine.root(["systemctl", "kill", "--signal=KILL", unit])
        until(watching.active, 120, f"{unit} after kill -9")
    for port in (9090, 9093):
        with pytest.raises(OSError):
            socket.create_connection((watching.machine.address, port), timeout=2)
    assert (
        watching.said("runuser", "-u", "rosey-watch", "--", "cat", "/opt/rosey-bot/shared/secrets/monitoring-token")
        != token
    )

    watching.machine.power_off()
    watching.machine.power_on()
    until(watching.active, 120, "both services after a power cut")


def test_settings_that_amtool_refuses_never_reach_the_running_services(watching: Watching) -> None:
    watching.provision()
    assert watching.deploy().status == Status.SUCCEEDED
    until(watching.active, 120, "both services")
    home = Environment.objects.get(name="test")
    home.configuration["monitoring.json"]["slack"] = {"channel": "#ops"}  # and no slack-url was ever delivered
    home.configuration["monitoring.json"]["mail"] = {"to": "nobody"}
    home.save()
    refused = watching.deploy()
    assert refused.status == Status.FAILED
    assert "monitoring" in refused.sentence
    assert watching.active()
