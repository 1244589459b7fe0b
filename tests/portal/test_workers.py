"""The workers as one service: how they end."""

import sys
import time
from pathlib import Path

from portal.run import Child
from portal.workers import end

HEARS_THE_SECOND = """
import signal, sys, time
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1) or (len(heard) > 1 and sys.exit(0)))
open(sys.argv[1], "w").close()
while True:
    time.sleep(0.05)
"""


def test_a_cluster_that_did_not_hear_it_is_asked_again(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = Child("cluster tests", [sys.executable, "-c", HEARS_THE_SECOND, str(ready)], {})
    child.start()
    began = time.monotonic()
    while not ready.exists():
        assert time.monotonic() - began < 20, "it did not start"
        time.sleep(0.02)
    asked = time.monotonic()
    end([child], asked + 30)
    assert child.process is not None
    assert child.process.returncode == 0
    assert time.monotonic() - asked < 20
