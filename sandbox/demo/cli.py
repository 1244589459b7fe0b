"""`python -m sandbox demo`: everything on one machine, until Ctrl-C."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sandbox.cytube.config import SANDBOX_PASSWORD, Channel, ServerConfig
from sandbox.cytube.server import CytubeServer
from sandbox.demo.page import closing_page
from sandbox.demo.portal import ROOT, CommandFailed, DemoPortal
from sandbox.demo.watch import Watch
from sandbox.hosts import Host, HostsError, HostSet, unavailable_reason

SERVERS = (("test-1", "test"), ("prod-1", "production"))
STEPS = 9


class Progress:
    """Says what is going on, which step it is, and how long it has taken so far."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._number = 0

    def __call__(self, what: str) -> None:
        self._number += 1
        print(f"[{self._number}/{STEPS}] {time.monotonic() - self._started:5.1f} s  {what}", flush=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started


def main(argv: list[str]) -> int:
    """Run the demo; 2 when this machine cannot boot hosts, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of the portal (default 8080)")
    parser.add_argument("--once", action="store_true", help="end as soon as everything has been shown to work")
    options = parser.parse_args(argv)
    if reason := unavailable_reason():
        print(f"The demo needs real hosts: {reason}", file=sys.stderr)
        return 2
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stopping))
    try:
        with _everything(options.port) as (portal, watch, progress):
            print(closing_page(portal, watch, progress.seconds), flush=True)
            if not options.once:
                stopping.wait()
    except _Interrupted:
        pass
    except (CommandFailed, HostsError, OSError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print("Everything has been stopped and removed.")
    return 0


class _Interrupted(Exception):
    pass


def _interrupt(stopping: threading.Event) -> None:
    if stopping.is_set():
        return
    stopping.set()
    print("\nStopping …", flush=True)
    raise _Interrupted


@contextlib.contextmanager
def _everything(port: int) -> Iterator[tuple[DemoPortal, Watch, Progress]]:
    progress = Progress()
    progress("Booting two Debian servers (the first time their image is built, about a minute)")
    with contextlib.ExitStack() as stack:
        hosts = stack.enter_context(HostSet("demo"))
        booted = hosts.up(len(SERVERS))
        progress("Starting a CyTube-protocol server")
        cytube = stack.enter_context(_cytube(hosts.gateway))
        progress("Starting the portal and its workers")
        state = ROOT / ".state" / "demo"
        watch = Watch(state, f"http://127.0.0.1:{port}")
        addresses = {"PROMETHEUS_URL": watch.prometheus_url, "ALERTMANAGER_URL": watch.alertmanager_url}
        portal = DemoPortal(state, port, hosts.gateway, **addresses)
        portal.reset()
        portal.start()
        stack.callback(portal.stop)
        overrides = {"bot.json": {"domain": cytube, "portal_url": portal.reporting_url}}
        progress("Building a release of the bot (the first time its packages are fetched)")
        # what the web process and the workers need to start is no reason to wait
        with ThreadPoolExecutor(len(SERVERS) + 1) as pool:
            accounts = pool.submit(portal.make_accounts, {environment: overrides for _, environment in SERVERS})
            print(_indented(portal.manage("build_release", "--ref", "HEAD")))
            accounts.result()
            watching = pool.submit(stack.enter_context, watch.running(portal.token_file("monitoring").read_text()))
            progress("Enrolling and provisioning the servers, both at once")
            ready = [
                pool.submit(_make_ready, portal, hosts, host, name, environment)
                for host, (name, environment) in zip(booted, SERVERS, strict=True)
            ]
            for said in ready:
                print(_indented(said.result()))
            progress(_watchers(watch))
            watching.result()
        portal.wait_until_up()
        _deploy(portal, progress)
        yield portal, watch, progress


def _deploy(portal: DemoPortal, progress: Progress) -> None:
    progress("Deploying to test, through a worker")
    print(_indented(portal.manage("deploy", "test", "--reason", "first deployment", person="operator")))
    progress("Asking for production, which waits for an approval")
    print(_indented(portal.manage("deploy", "production", "--reason", "as tested", person="operator", allowed=(3,))))
    progress("Asking the bot how it is")
    print(_indented(json.dumps(_connected(f"{portal.url}/api/health/test-1"))))


def _watchers(watch: Watch) -> str:
    if watch.missing:
        return f"No alerts: {watch.missing} is not installed (Debian: prometheus, prometheus-alertmanager)"
    return "Prometheus, Alertmanager and a mail server watch"


def _make_ready(portal: DemoPortal, hosts: HostSet, host: Host, name: str, environment: str) -> str:
    where = ("--environment", environment, "--host", host.address, "--fingerprint", host.fingerprint)
    portal.manage("enroll", name, *where, person="admin")
    said = portal.manage("provision", name, "--bootstrap-key", str(hosts.bootstrap_key), person="admin")
    portal.manage("set_secret", environment, "cytube-password", stdin=SANDBOX_PASSWORD, person="admin")
    return said.splitlines()[-1]


@contextlib.contextmanager
def _cytube(address: str) -> Iterator[str]:
    channels = (Channel("test-rosey"), Channel("rosey"))
    server = CytubeServer(ServerConfig(host=address, channels=channels))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="cytube", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    try:
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(_ended(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _ended(server: CytubeServer) -> None:
    await server.stop()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _connected(url: str, deadline: float = 20.0) -> object:
    end = time.monotonic() + deadline
    answer: dict[str, object] = {}
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.loads(error.read() or b"{}")
        if answer.get("connected"):
            return answer
        time.sleep(0.2)
    raise CommandFailed(f"{url} does not show a connected bot: {answer}")


def _indented(text: str) -> str:
    return "\n".join(f"        {line}" for line in text.strip().splitlines())
