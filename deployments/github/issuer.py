"""The keys that GitHub signs workflows' identities with, fetched over HTTPS and kept for an hour.

TargetError
└── IssuerUnreachable           the issuer does not answer, or with no keys (HTTP 502)
"""

import threading
import time
from urllib.parse import urlsplit

import httpx
import jwt

from engine.errors import TargetError

KEEP_SECONDS = 3600.0
"""A key that the issuer has taken back is believed no longer than this."""
AGAIN_SECONDS = 30.0
"""Between two questions of one process: whoever sends unknown key numbers must not make us ask each time."""
TIMEOUT_SECONDS = 5.0
_LONGEST = 1 << 18  # bytes of a key set
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class IssuerUnreachable(TargetError):
    """The issuer's keys could not be had, so nothing can be checked."""

    reason = "issuer_unreachable"
    permanent = False


class IssuerKeys:
    """One issuer's keys by their number (`kid`), for all threads of a process."""

    def __init__(self, issuer: str) -> None:
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            raise IssuerUnreachable(
                f"{issuer} is asked for keys over https only.", hint="Correct PORTAL_GITHUB_ISSUER.", permanent=True
            )
        self._address = f"{issuer}/.well-known/jwks"
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._asked = float("-inf")

    def get(self, number: str) -> jwt.PyJWK | None:
        """The key of that number, asking the issuer where it is new or ours are old. Raises IssuerUnreachable."""
        with self._lock:
            now = time.monotonic()
            old = now - self._fetched > KEEP_SECONDS
            if old or (number not in self._keys and now - self._asked > AGAIN_SECONDS):
                if now - self._asked <= AGAIN_SECONDS:
                    raise IssuerUnreachable("The issuer's keys could not be had just now.", hint="Try again in 30 s.")
                self._asked = now
                self._keys = self._fetch()
                self._fetched = now
            return self._keys.get(number)

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        try:
            answer = httpx.get(self._address, timeout=TIMEOUT_SECONDS, headers={"Accept": "application/json"})
            answer.raise_for_status()
            if len(answer.content) > _LONGEST:
                raise ValueError("too long")
            found = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, AttributeError) as error:
            raise IssuerUnreachable(
                f"The keys of workflows' identities could not be had ({type(error).__name__}).",
                hint="Try again; nothing was issued.",
            ) from error
        return {key.key_id: key for key in found if key.key_id and key.public_key_use in (None, "sig")}


_ISSUERS: dict[str, IssuerKeys] = {}


def keys_of(issuer: str) -> IssuerKeys:
    """The one collection of this issuer's keys in this process."""
    if issuer not in _ISSUERS:
        _ISSUERS[issuer] = IssuerKeys(issuer)
    return _ISSUERS[issuer]
