"""The validations of a soak: started in the portal, read as densely as the day is compressed."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator

from sandbox.demo.portal import CommandFailed, DemoPortal
from sandbox.soak.browser import Visitor

READ = """
import time
from dashboard.tasks import validate
while True:
    try:
        validate()
    except Exception as error:
        print(repr(error), flush=True)
    time.sleep({every})
"""


def start(portal: DemoPortal, where: str, hours: float) -> int:
    """Start one in the browser, as the operator would. Its number."""
    visitor = Visitor(portal.url, "operator", portal.passwords["operator"])
    address, page = visitor.send("/validations/", "/validations/start", environment=where, hours=f"{hours:.6f}")
    found = re.search(r"/validations/(\d+)/", address)
    if found is None:
        said = " ".join(re.sub(r"<[^>]*>", " ", page).split())
        raise CommandFailed(f"The validation of {where} did not start: {said[:400]}")
    return int(found[1])


def running(portal: DemoPortal, number: int) -> bool:
    """Whether its window goes on."""
    return bool(_document(portal, number)["state"] == "running")


def report(portal: DemoPortal, number: int) -> tuple[str, str, str]:
    """How it ended, its report and the report's digest."""
    ended = _document(portal, number)
    text = portal.manage("validate", "report", str(number), person="operator", allowed=(0, 1, 7))
    return str(ended["state"]), text[text.index("# Validation") :].rstrip(), str(ended.get("digest", ""))


def _document(portal: DemoPortal, number: int) -> dict[str, object]:
    said = portal.manage("validate", "report", str(number), "--json", person="operator", allowed=(0, 1, 7))
    found: dict[str, object] = json.loads(said[said.index("{") :])
    return found


class Reader:
    """Reads more often than the portal's schedule, where a day is compressed; else nothing."""

    def __init__(self, portal: DemoPortal, speed: float) -> None:
        self._portal = portal
        self._speed = speed
        self._process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """For the block."""
        try:
            self.again()
            yield
        finally:
            self.stop()

    def again(self) -> None:
        """Begin, or begin anew with the portal's code of now."""
        self.stop()
        if self._speed <= 1:
            return
        with (self._portal.state / "reader.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "--command", READ.format(every=60 / self._speed)],
                cwd=self._portal.tree,
                env=self._portal.environment,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()  # a reading is one transaction
            self._process.wait()
            self._process = None
