"""JSON over HTTP with the standard library alone, for runners that have nothing else installed.

HttpFailure                 no answer, or one that is not success; carries the status and the problem document
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

TIMEOUT_SECONDS = 60.0
UPLOAD_SECONDS = 600.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class HttpFailure(Exception):
    """No answer (status 0), or one that says no. `problem` is the document that came with it (RFC 9457)."""

    def __init__(self, message: str, *, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token wherever the answer says."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing; the answer is then a failure like others."""


class JsonClient:
    """Speaks with one service as the owner of a token, which is sent over TLS only (or to this machine)."""

    def __init__(self, base: str, token: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urllib.parse.urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{base} is no http address.")
        if parts.scheme == "http" and parts.hostname not in _LOCAL:
            raise ValueError(f"{base} would carry the token unencrypted: use https.")
        self._base = base.rstrip("/")
        self._token = token
        self._headers = dict(headers or {})
        # a proxy of the environment would be told the token that is for this machine
        direct = [urllib.request.ProxyHandler({})] if parts.hostname in _LOCAL else []
        self._opener = urllib.request.build_opener(_NoRedirect, *direct)

    def __repr__(self) -> str:
        return f"JsonClient({self._base!r})"

    def get(self, path: str) -> Any:
        """The document at `path`. Raises HttpFailure."""
        return self._ask("GET", path, None, {}, TIMEOUT_SECONDS)

    def post(self, path: str, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """Send a document and return the answer's. Raises HttpFailure."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self._ask("POST", path, json.dumps(document).encode(), sent, TIMEOUT_SECONDS)

    def post_body(self, path: str, body: bytes, content_type: str) -> Any:
        """Send bytes and return the answer's document. Raises HttpFailure."""
        return self._ask("POST", path, body, {"Content-Type": content_type}, UPLOAD_SECONDS)

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Any:
        request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
            f"{self._base}{path}",
            data=body,
            method=method,
            headers={
                "Accept": "application/json",
                **self._headers,
                **headers,
                **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
            },
        )
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                problem = _document(error.read())
            said = " ".join(str(problem.get(key, "")) for key in ("detail", "hint")).strip()
            raise HttpFailure(said or f"The answer was {error.code}.", status=error.code, problem=problem) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            why = getattr(error, "reason", None) or error
            raise HttpFailure(f"{self._base} does not answer ({why}).") from None


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
