"""One operation of provisioning, as data."""

import base64
from typing import Any

from engine.host.agent.environments import kept_pip_path

Operation = dict[str, Any]


def file(path: str, content: bytes, *, title: str, mode: int = 0o644, owner: str = "root", **more: Any) -> Operation:
    """A file with this content; `validate` (an argument list, "{}" is a copy of it) looks at it first.

    Lines of what that says which contain one of `tolerated` are no reason to refuse; copies of the files `beside` it,
    by name, lie in the same directory. With `before`, an application, only until a release of it is live.
    """
    return {
        "op": "file",
        "title": title,
        "path": path,
        "content": base64.b64encode(content).decode(),
        "mode": mode,
        "owner": owner,
        "group": more.get("group", owner),
        "validate": list(more.get("validate", ())),
        "tolerated": list(more.get("tolerated", ())),
        "beside": {name: base64.b64encode(other).decode() for name, other in more.get("beside", {}).items()},
        "before": more.get("before", ""),
    }


def unit(name: str, *, enabled: bool | None = True, started: bool | None = None, **more: Any) -> Operation:
    """A unit's place in the boot and whether it runs; None leaves that as it is.

    One that comes with `package` is not stopped where somebody else installed it.
    """
    return {
        "op": "unit",
        "title": f"unit {name}",
        "name": name,
        "enabled": enabled,
        "started": started,
        "restart_on": list(more.get("restart_on", ())),
        "package": more.get("package", ""),
    }


def kept_pip(name: str) -> Operation:
    """Python's pip, compiled once: what each new environment of this application would otherwise wait for."""
    return {"op": "pip", "title": "pip, compiled", "path": kept_pip_path(name)}


def compiled(path: str, *, present: bool = True) -> Operation:
    """The compiled form of a program of root's, by the server's own Python; or none of any Python's any more."""
    return {"op": "compiled", "title": f"compiled form of {path}", "path": path, "present": present}
