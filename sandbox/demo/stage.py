"""Everything that a demo or a soak plays on: servers, CyTube, portal, watchers, and the servers made ready."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sandbox.cytube.config import SANDBOX_PASSWORD
from sandbox.demo.following import settle
from sandbox.demo.portal import ROOT, DemoPortal
from sandbox.demo.room import CytubeThread
from sandbox.demo.watch import Watch
from sandbox.hosts import Host, HostSet

SERVERS = (("test-1", "test"), ("prod-1", "production"))


class Progress:
    """Says what is going on, which step it is, and how long it has taken so far."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._started = time.monotonic()
        self._number = 0

    def __call__(self, what: str) -> None:
        """The next step begins."""
        self._number += 1
        print(f"[{self._number}/{self._steps}] {time.monotonic() - self._started:5.1f} s  {what}", flush=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started


@dataclass(frozen=True)
class Stage:
    """What is up."""

    hosts: HostSet
    cytube: CytubeThread
    portal: DemoPortal
    watch: Watch

    def host(self, environment: str) -> Host:
        """The server of an environment."""
        return self.hosts.host(1 + [name for _, name in SERVERS].index(environment))


@contextlib.contextmanager
def everything(
    name: str, port: int, progress: Progress, *, days: int = 1, bake: int | None = None, lasting: bool = False
) -> Iterator[Stage]:
    """Two servers provisioned and a release built, nothing deployed.

    The portal's state is in `.state/NAME`, its tokens are good for so many days, and its
    deployments are watched for `bake` seconds. All of it is gone after the block;
    when it is `lasting`, servers and state stay, and the next block goes on with them
    until somebody calls `hosts.down`.
    """
    state = ROOT / ".state" / name
    kept = state / "cytube-url"
    again = lasting and kept.exists() and name in HostSet.names()
    progress("Booting two Debian servers (the first time their image is built, about a minute)")
    with contextlib.ExitStack() as stack:
        hosts = HostSet.attach(name) if again else HostSet(name, detached=lasting)
        if not lasting:
            stack.enter_context(hosts)
        hosts.up(len(SERVERS))
        progress("Starting a CyTube-protocol server")
        before = int(kept.read_text().rpartition(":")[2]) if again else 0
        cytube = stack.enter_context(CytubeThread(hosts.gateway, before))
        progress("Starting the portal and its workers")
        watch = Watch(state, f"http://127.0.0.1:{port}")
        addresses = {"PROMETHEUS_URL": watch.prometheus_url, "ALERTMANAGER_URL": watch.alertmanager_url}
        portal = DemoPortal(state, port, hosts.gateway, **addresses)
        if not again:
            portal.reset()
        if lasting:
            settle(portal)
        portal.start()
        stack.callback(portal.stop)
        stage = Stage(hosts, cytube, portal, watch)
        if again:
            stack.enter_context(watch.running(portal.token_file("monitoring").read_text()))
        else:
            _make(stage, stack, progress, days, bake)
            kept.write_text(cytube.server.url)
        portal.wait_until_up()
        yield stage


def _make(stage: Stage, stack: contextlib.ExitStack, progress: Progress, days: int, bake: int | None) -> None:
    """Accounts, a release, and both servers made ready for it."""
    portal, watch = stage.portal, stage.watch
    overrides = {"bot.json": {"domain": stage.cytube.server.url, "portal_url": portal.reporting_url}}
    progress("Building a release of the bot (the first time its packages are fetched)")
    # what the web process and the workers need to start is no reason to wait
    with ThreadPoolExecutor(len(SERVERS) + 1) as pool:
        configured = {environment: overrides for _, environment in SERVERS}
        accounts = pool.submit(portal.make_accounts, configured, days=days, bake=bake)
        print(indented(portal.manage("build_release", "--ref", "HEAD")))
        accounts.result()
        watching = pool.submit(stack.enter_context, watch.running(portal.token_file("monitoring").read_text()))
        progress("Enrolling and provisioning the servers, both at once")
        ready = [
            pool.submit(_make_ready, portal, stage.hosts, host, name, environment)
            for host, (name, environment) in zip(stage.hosts.hosts, SERVERS, strict=True)
        ]
        for said in ready:
            print(indented(said.result()))
        progress(_watchers(watch))
        watching.result()


def indented(text: str) -> str:
    """What a command said, below the step that it belongs to."""
    return "\n".join(f"        {line}" for line in text.strip().splitlines())


def _watchers(watch: Watch) -> str:
    if watch.missing:
        return f"No alerts: {watch.missing} is not installed (Debian: prometheus, prometheus-alertmanager)"
    return "Prometheus, Alertmanager and a mail server watch"


def _make_ready(portal: DemoPortal, hosts: HostSet, host: Host, name: str, environment: str) -> str:
    where = ("--environment", environment, "--host", host.address, "--fingerprint", host.fingerprint)
    portal.manage("enroll", name, *where, person="admin")
    said = portal.manage("provision", name, "--bootstrap-key", str(hosts.bootstrap_key), person="admin")
    portal.manage("set_secret", environment, "cytube-password", stdin=SANDBOX_PASSWORD, person="admin")
    return next(line for line in said.splitlines() if line.startswith(f"{name}: "))
