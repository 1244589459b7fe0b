"""Asks a bot for its health, evenly, so many times a second, until its standard input says stop.

Run as `python -m benchmarks.bot_scraper PORT PER_SECOND`. Every fiftieth time it asks for the metrics as well.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time


def main(port: int, per_second: float) -> None:
    """Scrape; print what came of it as JSON."""
    stop = threading.Event()

    def end_with_input() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    scrapes = failed = 0
    slowest = 0.0
    due = time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        due += 1 / per_second
        began = time.monotonic()
        for path in ("/api/health", "/metrics") if scrapes % 50 == 0 else ("/api/health",):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            failed += answer.status not in {200, 503} or (path == "/api/health" and len(json.loads(body)) != 8)
        scrapes += 1
        slowest = max(slowest, time.monotonic() - began)
    print(json.dumps({"scrapes": scrapes, "failed": failed, "slowest": slowest}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
