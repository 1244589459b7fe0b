"""`GET /status` says how the bot is, `POST /roll` rolls the dice. Standard library only."""

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = (Path(__file__).resolve().parent.parent / "VERSION").read_text().strip()


class Memory:
    """The number of rolls, kept in SQLite."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run("CREATE TABLE IF NOT EXISTS rolls (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")

    def _run(self, statement: str, *values: int) -> list[tuple[int]]:
        connection = sqlite3.connect(self._path)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def add(self, value: int) -> None:
        """Remember one roll."""
        self._run("INSERT INTO rolls (value) VALUES (?)", value)

    def count(self) -> int:
        """How many rolls there have been."""
        return self._run("SELECT count(*) FROM rolls")[0][0]


class Handler(BaseHTTPRequestHandler):
    """The two things the bot can be asked for."""

    memory: Memory
    sides: int

    def do_GET(self) -> None:
        """Say how the bot is."""
        if self.path != "/status":
            self._answer(404, {"error": "ask for /status"})
            return
        self._answer(200, {"version": VERSION, "ready": True, "rolls": self.memory.count()})

    def do_POST(self) -> None:
        """Roll the dice."""
        if self.path != "/roll":
            self._answer(404, {"error": "post to /roll"})
            return
        value = random.randint(1, self.sides)
        self.memory.add(value)
        self._answer(200, {"value": value})

    def _answer(self, code: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Release", os.environ.get("RELEASE_ID", "unreleased"))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """One line per request, to the journal."""
        print(format % args, flush=True)


def main() -> int:
    """Serve until SIGTERM, or with --check only look at the configuration."""
    parser = argparse.ArgumentParser(prog="python -m dicebot")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    config = json.loads(arguments.config.read_text())
    if not (isinstance(config.get("port"), int) and isinstance(config.get("sides"), int) and config["sides"] > 1):
        print(f"{arguments.config}: port and sides must be whole numbers, sides above 1", file=sys.stderr)
        return 78
    if arguments.check:
        print("The configuration can be used.")
        return 0
    Handler.memory = Memory(Path(os.environ["DICE_DATA"]) / "rolls.db")
    Handler.sides = config["sides"]
    with ThreadingHTTPServer(("0.0.0.0", config["port"]), Handler) as server:
        print(f"listening on {server.server_address[1]}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
