"""What a portal says of itself over the network: /healthz, through its proxy and over TLS that proves who answers."""

import http.client
import json
import ssl
from dataclasses import dataclass

from engine.errors import TargetError

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """Of a healthy portal: the release it runs, the head of its audit trail, and whether it is in charge."""

    release: str
    head: str
    in_charge: bool


def ask_over_tls(host: str, authority: str = "") -> Answer:
    """Ask the portal that `host` shows the world. `authority` is a certificate that is trusted beside the public ones.

    Raises TargetError when it does not answer, is not who it says, or is not well.
    """
    context = ssl.create_default_context()
    try:
        if authority.strip():
            context.load_verify_locations(cadata=authority)
        connection = http.client.HTTPSConnection(host.strip("[]"), timeout=TIMEOUT_SECONDS, context=context)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TargetError(f"https://{host}/healthz does not answer ({error})", permanent=False) from error
    if answer.status != 200:
        raise TargetError(f"https://{host}/healthz answers with {answer.status}", permanent=False)
    return Answer(answer.getheader("X-Release", "") or "", str(body["audit_head"]), bool(body["in_charge"]))
