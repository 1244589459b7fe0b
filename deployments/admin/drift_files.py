"""The files in which a server differs from its record, as its page and what is done about them show them."""

from deployments.models import Server

_KINDS = {"extra": "added", "missing": "removed"}


def differing(server: Server) -> list[tuple[str, str, str]]:
    """The kind of change of each, the path, and what is wrong where that says more; none where all was accepted."""
    if not server.open_drift:
        return []
    return [
        (_KINDS.get(what, "changed"), path, "" if what in (*_KINDS, "content") else what)
        for path, what in server.drift.get("files", [])
    ]


def in_a_sentence(server: Server) -> list[str]:
    """The same before something is done about it; empty where no file is known."""
    found = [f"{path} ({why or kind})" for kind, path, why in differing(server)]
    return [f"On the server, and not as in the release: {', '.join(found)}."] if found else []
