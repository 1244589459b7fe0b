"""Every id of an error that our sources can raise or answer, with the exit code and HTTP status of its class."""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from engine.errors import PortalError

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("engine", "deployments", "dashboard", "alerting", "portal")
Ends = tuple[int, int]


def classes() -> dict[str, type[PortalError]]:
    """Every class of the tree by its name."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        if "host" not in path.parts and '    reason = "' in path.read_text():
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: dict[str, type[PortalError]] = {}
    ahead: list[type[PortalError]] = [PortalError]
    while ahead:
        one = ahead.pop()
        found[one.__name__] = one
        ahead += one.__subclasses__()
    return found


def reasons() -> dict[str, set[Ends]]:
    """`{"environment_busy": {(8, 409)}}`: of the classes themselves, and of what is raised with a reason of its own."""
    known = classes()
    found: dict[str, set[Ends]] = defaultdict(set)
    for one in known.values():
        found[one.reason].add((one.exit_code, one.http_status))
    for name, call in _calls():
        reason = next((k.value for k in call.keywords if k.arg == "reason"), None)
        if not isinstance(reason, ast.Constant) or not isinstance(reason.value, str):
            continue
        if name in known:
            found[reason.value].add((known[name].exit_code, known[name].http_status))
        elif name == "problem" and isinstance(call.args[0], ast.Constant):
            found[reason.value].add((1, int(str(call.args[0].value))))
    return found


def outcomes() -> set[str]:
    """What the agent on a server can say of a step or a run that did not succeed."""
    found = set()
    for name, call in _calls(ROOT / "engine" / "host" / "agent"):
        words = [a.value for a in call.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in {"StepFailed", "Refused"} and words:
            found.add(words[0])
        elif name == "outcome" and len(words) == 2 and words[0] != "succeeded":
            found.add(words[1])
    return found - {"unknown", "bad_request"}


def _calls(*roots: Path) -> Iterator[tuple[str, ast.Call]]:
    for root in roots or tuple(ROOT / room for room in ROOMS):
        for path in root.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    function = node.func
                    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
                    yield name, node
