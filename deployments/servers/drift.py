"""How a server differs from what a release, its secrets and provisioning put there; and what was looked at.

What comes with a release is compared by the agent, what provisioning did by root's own list of it.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.models import Secret, Server
from engine.remote.inventory import InventoryCheck
from engine.remote.reports import Report

OUR_DROP_IN = "10-cytube-ops.conf"
"""What root puts beside a unit itself; root's own look compares it."""
MOST_FILES = 20
_OF_THE_SYSTEM = ("/usr/lib/", "/lib/")
_NOT_AT_BOOT = ("disabled", "masked", "masked-runtime", "enabled-runtime", "bad")


def drift_of(server: Server, facts: dict[str, Any]) -> list[str]:
    """Sentences for everything in which `facts` (of the agent's inspect) differ from the record."""
    return [
        *_release_drift(server, facts),
        *(sentence for unit in facts["units"] for sentence in _unit_drift(server, unit)),
        *(
            f"The secret {name} is version {facts['secrets'].get(name, 'none')}, not {version}."
            for name, version in server.secret_versions.items()
            if facts["secrets"].get(name) != version
        ),
    ]


def _release_drift(server: Server, facts: dict[str, Any]) -> list[str]:
    release, found = server.current_release, []
    if release is not None and facts["current"] != release.identifier:
        found.append(f"It runs {facts['current'] or 'nothing'}; the record says {release.identifier}.")
    if facts["config"] != server.config_digest:
        found.append("Its configuration is not the one that was deployed.")
    elif facts.get("config_whole") is False:
        found.append("Its configuration was changed on the server after it was deployed.")
    if release is not None and (wrong := facts["hash"].get(release.identifier)):
        found.append(f"{counted(wrong)} of the release {_differ(wrong)}, {wrong[0][0] or 'all'} first ({wrong[0][1]}).")
    for role, problems in facts.get("environments", {}).items():
        if problems:
            first = f"{problems[0][0] or 'all'} first ({problems[0][1]})"
            whose = f"of the Python environment of the role {role}"
            found.append(f"{counted(problems)} {whose} {_differ(problems)}, {first}.")
    return found


def differing_files(server: Server, facts: Mapping[str, Any]) -> list[list[str]]:
    """Path and what is wrong of each file that differs from the release or a Python environment, MOST_FILES at most.

    Of contents a server tells digests alone.
    """
    release = server.current_release
    wrong = [*facts["hash"].get(release.identifier, [])] if release is not None else []
    for problems in facts.get("environments", {}).values():
        wrong += problems or []
    return [[str(path)[:300], str(what)[:100]] for path, what in wrong[:MOST_FILES] if path]


def _unit_drift(server: Server, unit: Mapping[str, Any]) -> list[str]:
    name, found = unit["unit"], []
    expected = server.unit_files.get(name)
    if expected and unit["sha256"] != expected:
        found.append(f"The unit file {name} differs from the one of the release.")
    elif unit.get("path") and unit["path"] != f"/etc/systemd/system/{name}":
        found.append(f"systemd reads {name} from {unit['path']}.")
    found += [
        f"{path} changes {name}."
        for path in unit.get("drop_ins", ())
        if not path.startswith(_OF_THE_SYSTEM) and path.rpartition("/")[2] != OUR_DROP_IN
    ]
    if unit["problem"] and name not in server.stopped_units:
        found.append(unit["problem"])
    if unit["enabled"] in _NOT_AT_BOOT:
        found.append(f"{name} is {unit['enabled']}: a boot does not start it.")
    if unit["needs_reload"]:
        found.append(f"systemd has not read the files of {name} since they were changed.")
    return found


def secret_faults(server: Server, proofs: Mapping[str, Mapping[str, str]], nonce: str) -> dict[str, str]:
    """The secrets whose value or mode on the server is another, each with a sentence.

    Of tokens only the mode is looked at: nobody but the server knows their values.
    """
    found, versions, values = {}, server.secret_versions, _values(server)
    for name, version in versions.items():
        proof, value = proofs.get(name), values.get((name, version))
        if proof is None:
            found[name] = f"The secret {name} is not readable there."
        elif value is not None and proof["proof"] != hmac.new(nonce.encode(), value, hashlib.sha256).hexdigest():
            found[name] = f"The secret {name} has another value than was delivered."
        elif proof["mode"] != "0400":
            found[name] = f"The secret {name} has the mode {proof['mode']}, not 0400."
    return found


def _values(server: Server) -> dict[tuple[str, int], bytes]:
    """What the portal holds of the secrets there, by name and version."""
    names = list(server.secret_versions)
    rows = Secret.objects.filter(environment=server.environment, name__in=names) if names else []
    return {(secret.name, secret.version): str(secret.value).encode() for secret in rows}


def without_value(server: Server) -> list[str]:
    """The secrets there whose value nobody can compare: the portal holds none in the version of the record."""
    held = _values(server)
    return sorted(name for name, version in server.secret_versions.items() if (name, version) not in held)


def provisioning_drift(server: Server, looked: InventoryCheck) -> list[str]:
    """Sentences for what provisioning put there and is not so any more; that nobody may look any more is one."""
    if looked.why and server.drift.get("things"):
        return [f"Root could look there at what provisioning did, and cannot any more ({looked.why.rstrip('.')})."]
    return [f"{_how(report)} Run `provision` to put it back." for report in looked.differing]


def _how(report: Report) -> str:
    if report.state == "failed":
        return f"{report.name}: {report.sentence}"
    before, after = report.before.split(", "), report.after.split(", ")
    if not report.after.startswith("sha256 ") or len(before) != len(after):
        return f"{report.name}: {report.before}, not {report.after}."
    changes = ["its content was changed"] if before[0] != after[0] else []
    changes += [f"{before[1]}, not {after[1]}"] if before[1] != after[1] else []
    return f"{report.name}: {' and '.join(changes)}."


def not_looked_at(server: Server, facts: Mapping[str, Any], looked: InventoryCheck, *, well: bool) -> list[str]:
    """What the comparison did not cover, so that nothing is called recorded that nobody looked at."""
    missed = []
    if looked.why and well:
        missed.append(f"what provisioning put there; run `provision` once ({looked.why.rstrip('.')})")
    missed += [
        f"the Python environment of the role {role} (made by an earlier version)"
        for role, problems in facts.get("environments", {}).items()
        if problems is None
    ]
    return missed + [f"the value of the secret {name} (the portal does not hold it)" for name in without_value(server)]


def as_far_as_looked(server: Server, facts: Mapping[str, Any], looked: InventoryCheck, *, well: bool) -> str:
    """What the comparison covered, where all of it is `well`, and what not."""
    missed, known = not_looked_at(server, facts, looked, well=well), server.secret_versions
    secrets = "" if known and len(without_value(server)) == len(known) else ", secrets"
    covered = f" and {looked.things} things of provisioning" if looked.things else ""
    said = [f"Release, configuration, units{secrets}{covered}: as recorded."] if well else []
    said += [f"Not looked at: {'; '.join(missed)}."] if missed else []
    return " ".join(said)


def _differ(wrong: Sequence[Any]) -> str:
    return "differs" if len(wrong) == 1 else "differ"


def counted(wrong: Sequence[Any]) -> str:
    """A number of files, in words."""
    return "One file" if len(wrong) == 1 else f"{len(wrong)} files"
