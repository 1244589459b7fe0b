"""The one place that makes HTTP clients: a question to a service at an address that somebody configured.

Unanswered                      no answer that can be used; the sentence names neither address nor secret
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from httpx import Response as Response

_TROUBLE = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, ImportError, OSError)
"""httpx raises these for addresses, proxies and certificates, some of them while the client is being made."""


class Unanswered(Exception):
    """There is no answer that can be used; says in a few words why. The cause may name the address, this does not."""


def ask(
    method: str,
    url: str,
    *,
    timeout: float,
    query: Mapping[str, Sequence[str] | str] | None = None,
    document: Any = None,
    proxied: bool = False,
) -> Response:
    """Ask, within `timeout` seconds per step, and return the answer whatever its status; no redirect is followed.

    The address is asked itself: proxies of the environment are for what is outside (`proxied`), since a monitoring
    server on this machine or its network is behind none. Raises Unanswered.
    """
    try:
        # a transport of one's own has the certificates of the environment (SSL_CERT_FILE), and no proxy
        transport = None if proxied else httpx.HTTPTransport()
        with httpx.Client(transport=transport, timeout=timeout) as client:
            return client.request(method, url, params=query, json=document)
    except _TROUBLE as error:
        raise Unanswered(type(error).__name__) from error
