"""A stand-in for an OpenID Connect provider: an HTTP server on loopback with real keys, which checks what it gets."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "portal", "a secret of the client"  # what the portal is called, and proves it with


class Provider:
    """Who is signed in there is `subject`; `changes` are laid over the claims that it signs."""

    def __init__(self) -> None:
        self.url, self.subject = "", "subject-1"
        self.key = self.published = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.changes: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.algorithm = "RS256"

    def authorise(self, address: str) -> str:
        """What the browser is sent back with after signing in there."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{urlsplit(asked['redirect_uri']).path}?code={code}&state={asked['state']}"

    def token(self, given: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer of the token endpoint: each code once, for this client, by who began."""
        asked = self.codes.pop(given.get("code", ""), None)
        known = authorization == "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        verifier = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        fits = asked and base64.urlsafe_b64encode(verifier).decode().rstrip("=") == asked["code_challenge"]
        if asked is None or not known or not fits:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": self.subject, "nonce": asked["nonce"], "iat": now}
        claims |= {"exp": now + 300, "preferred_username": "Carla there", **self.changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        key = "x" * 32 if self.algorithm == "HS256" else None if self.algorithm == "none" else self.key
        identity = jwt.encode(claims, key, self.algorithm, headers={"kid": "one"})  # type: ignore[arg-type]  # one of three kinds
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": identity}

    def document(self, path: str) -> dict[str, Any] | None:
        """What anybody may fetch."""
        if path == "/.well-known/openid-configuration":
            ends = {name: f"{self.url}/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
            return {"issuer": self.url, **ends, "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}
        if path == "/jwks_uri":
            public = RSAAlgorithm.to_jwk(self.published.public_key(), as_dict=True)
            return {"keys": [{**public, "kid": "one", "use": "sig"}]}
        return None


@contextmanager
def providing() -> Iterator[Provider]:
    """One that runs."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = provider.document(self.path)
            self._answer(200 if found else 404, found or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(*provider.token(given, self.headers.get("Authorization", "")))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
