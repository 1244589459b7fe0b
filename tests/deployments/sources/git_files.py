"""Repositories as files over HTTP, which git calls the dumb protocol; in a process that nothing else has a hand in."""

import base64
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glpat-only-for-reading"
_LARGE = 1 << 20


class _Files(SimpleHTTPRequestHandler):
    """`private` ones are for who has the token."""

    def do_GET(self) -> None:
        pair = base64.b64encode(f"oauth2:{TOKEN}".encode()).decode()
        if self.path.startswith("/acme/private") and self.headers.get("Authorization") != f"Basic {pair}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        if self.path.startswith("/acme/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/acme/moved", "/acme/dice"))
            self.end_headers()
            return
        self.path = self.path.replace("/acme/stuck", "/acme/dice")
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Of a large file of the `stuck` one the half comes, and then nothing."""
        whole = source.read()
        if "/acme/stuck" not in self.requestline or len(whole) < _LARGE:
            outputfile.write(whole)
            return
        outputfile.write(whole[: len(whole) // 2])
        self.rfile.read()  # until who asked goes away

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(directory: str) -> None:
    """Say the port, and answer until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=directory))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1])
