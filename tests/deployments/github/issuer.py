"""A stand-in for GitHub's issuer: a real HTTP server with real keys, and runs whose identities it signs."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
RUN = {
    "repository": "acme/bot",
    "repository_id": "4711",
    "ref": "refs/heads/main",
    "environment": "portal",
    "workflow_ref": "acme/bot/.github/workflows/test-deploy.yml@refs/heads/main",
    "actor": "alice-gh",
    "actor_id": "1001",
    "event_name": "push",
    "run_attempt": "1",
    "run_id": "99",
}


class Issuer:
    """Signs what it is asked to, and publishes its keys while it answers."""

    def __init__(self, audience: str) -> None:
        self.audience = audience
        self.keys: dict[str, Key] = {}
        self.asked = 0
        self.answers = True
        self.url = ""
        self.rotate("first")

    def rotate(self, number: str, key: Key | None = None) -> None:
        """Have one new key and no other."""
        self.keys = {number: key or rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    @property
    def document(self) -> dict[str, Any]:
        """The public keys."""
        found = []
        for number, key in self.keys.items():
            if isinstance(key, rsa.RSAPrivateKey):
                public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            else:
                public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            found.append({**public, "kid": number, "use": "sig"})
        return {"keys": found}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a run's identity says; None takes a claim away."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + 300}
        claims = {"iss": self.url, "aud": self.audience, "jti": str(uuid.uuid4()), **times, **RUN, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def identity(self, *, kid: str = "", **changes: Any) -> str:
        """A signed identity."""
        number, key = next(iter(self.keys.items()))
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid or number})


@contextmanager
def issuing(audience: str) -> Iterator[Issuer]:
    """An issuer on loopback."""
    issuer = Issuer(audience)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            known = issuer.answers and self.path == "/.well-known/jwks"
            content = json.dumps(issuer.document).encode() if known else b"{}"
            self.send_response(200 if known else 503)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
