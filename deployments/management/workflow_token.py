"""The token of a run that stores none: GitHub signs who it is, the portal gives one of minutes for that."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from deployments.management.json_client import JsonClient

_URN = "urn:ietf:params:oauth"


def token_for(url: str, environment: str, environ: Mapping[str, str]) -> str:
    """`PORTAL_TOKEN`, else one for this run's identity; empty where GitHub offers none. Raises HttpFailure."""
    if token := environ.get("PORTAL_TOKEN", ""):
        return token
    asked = environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
    if not url or not asked:
        return ""
    portal = url.rstrip("/")
    github = JsonClient(asked, environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""))
    identity = github.get(f"&audience={quote(portal, safe='')}")["value"]
    form = {
        "grant_type": f"{_URN}:grant-type:token-exchange",
        "subject_token": identity,
        "subject_token_type": f"{_URN}:token-type:id_token",
        "audience": environment,
    }
    answer = JsonClient(f"{portal}/api/v1", "").post_body(
        "/tokens/exchange", urlencode(form).encode(), "application/x-www-form-urlencoded"
    )
    return str(answer["access_token"])
