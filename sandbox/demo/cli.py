"""`python -m sandbox demo`: everything on one machine, until Ctrl-C."""

import argparse
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

from sandbox.demo.following import build_following
from sandbox.demo.page import closing_page
from sandbox.demo.portal import CommandFailed, DemoPortal
from sandbox.demo.stage import Progress, everything, indented
from sandbox.hosts import HostsError, unavailable_reason

STEPS = 9


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
        progress = Progress(STEPS)
        with everything("demo", options.port, progress) as stage:
            _deploy(stage.portal, progress)
            following = build_following(stage.portal)
            print(closing_page(stage.portal, stage.watch, progress.seconds, following), flush=True)
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


def _deploy(portal: DemoPortal, progress: Progress) -> None:
    progress("Deploying to test, through a worker")
    print(indented(portal.manage("deploy", "test", "--reason", "first deployment", person="operator")))
    progress("Asking for production, which waits for an approval")
    print(indented(portal.manage("deploy", "production", "--reason", "as tested", person="operator", allowed=(3,))))
    progress("Asking the bot how it is")
    print(indented(json.dumps(_connected(f"{portal.url}/api/health/test-1"))))


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
