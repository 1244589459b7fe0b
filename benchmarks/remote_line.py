"""From a line that something says on a server to the same line on a deployment's page, in a browser.

    python -m benchmarks remote_line [--lines 150]

Promised: 95 of 100 lines are there within half a second. The server is played on this machine, so there is one clock;
agent, SSH, worker, database, web process and Chromium are as in production. Each line tells when it was said.
"""

import argparse
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.bookkeeping import one_server
from benchmarks.health_proxy import wait_for
from benchmarks.processes import cluster, running, start_django
from benchmarks.results import LEFT_OUT, METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from playwright.sync_api import Page

    from tests.deployments.execution.conftest import Scene

SECONDS = 0.5
SAYS = """\
#!{python}
import os, random, time

print("ready", flush=True)
while not os.path.exists({go!r}):
    time.sleep(0.02)
for number in range({lines}):
    time.sleep(random.uniform(0.03, 0.27))
    print("said at %.4f" % time.time(), flush=True)
"""
"""What the server's step has to say, at moments that follow nothing: neither a pause of the portal's nor the page's."""
NOTES = """() => {
  window.waits = [];
  new MutationObserver(changes => {
    const now = Date.now() / 1000;
    for (const added of changes.flatMap(change => [...change.addedNodes])) {
      const said = added.matches(".line") && /said at ([0-9.]+)$/.exec(added.textContent);
      if (said) window.waits.push(now - Number(said[1]));
    }
  }).observe(document.getElementById("log"), { childList: true, subtree: true });
}"""


def main(argv: Sequence[str] = ()) -> int:
    """Measure and print; 1 when the promise was not kept, 2 where there is no browser."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks remote_line", description=__doc__)
    parser.add_argument("--lines", type=int, default=150)
    options = parser.parse_args(argv)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        print("left out: Chromium is not installed")
        return LEFT_OUT
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(Path(folder) / "state")
        waits = _measure(Path(folder), program, options.lines)
    slow = quantiles(waits, n=20, method="inclusive")[-1]
    missed = slow > SECONDS
    print(f"{METHOD}{len(waits)} lines of one deployment, 0.03 to 0.27 s apart, on its page in Chromium")
    print(
        f"said there, read here   {median(waits):.3f} s  (95 of 100 within {slow:.3f} s, the last {max(waits):.3f} s; "
        f"promised {SECONDS}){' MISSED' * missed}"
    )
    return int(missed)


def _measure(folder: Path, program: str, lines: int) -> list[float]:
    """Seconds that each line took."""
    from playwright.sync_api import sync_playwright

    from tests.dashboard.browsing import ARGUMENTS

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright has a loop in this thread
    scene, go = one_server(folder), folder / "go"
    with contextlib.ExitStack() as stack:
        stack.callback(scene.close)
        stack.enter_context(cluster("deploys"))
        address = stack.enter_context(_web(folder))
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=program, args=list(ARGUMENTS))
        stack.callback(browser.close)
        page = browser.new_page()
        name, value = _session()
        page.context.add_cookies([{"name": name, "value": value, "url": address}])
        _have_it_say(scene, SAYS.format(python=sys.executable, go=str(go), lines=lines))
        row = scene.ask()
        page.goto(f"{address}/deployments/{row.pk}/")
        page.locator("#log .line", has_text="ready").wait_for()
        page.evaluate(NOTES)
        go.touch()
        return _heard(page, lines)


def _heard(page: "Page", lines: int) -> list[float]:
    """What the page has noted, once every line is there."""
    ends = time.monotonic() + 30 + lines
    while len(found := page.evaluate("window.waits")) < lines:
        if time.monotonic() > ends:
            raise SystemExit(f"the page has {len(found)} of {lines} lines")
        time.sleep(0.5)
    return [float(wait) for wait in found]


def _have_it_say(scene: "Scene", program: str) -> None:
    """The next deployment's restart begins with this program."""
    rehearsal = scene.hosts["one"].root / ".deploy" / "rehearsal" / "restart"
    rehearsal.parent.mkdir()
    rehearsal.write_text(program)
    rehearsal.chmod(0o755)


def _session() -> tuple[str, str]:
    """The cookie of somebody who has signed in."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("bench"), backend="django.contrib.auth.backends.ModelBackend")
    name = settings.SESSION_COOKIE_NAME
    return name, client.cookies[name].value


@contextlib.contextmanager
def _web(folder: Path) -> Iterator[str]:
    """The web process as production starts it; its address."""
    from django.core.management import call_command

    from portal.run import web

    call_command("collectstatic", interactive=False, verbosity=0)
    (folder / "metrics").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with running(web([f"127.0.0.1:{port}"], folder / "metrics")):
        wait_for(port)
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
