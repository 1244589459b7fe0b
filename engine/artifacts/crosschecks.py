"""What the keys of deploy.toml demand of each other.

Works on the raw table, so that these mistakes are told together with those of single keys; whatever has the wrong
shape is skipped here, because it has been told already.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from engine.artifacts.placeholders import CHECK, URL, placeholders
from engine.artifacts.problems import Problem

DEFAULT_TIMEOUT = 30.0  # seconds; roles.*.health.timeout
DEFAULT_VERIFY = 40.0  # seconds; deadlines.verify
DEFAULT_WATCH = 10.0  # seconds; roles.*.watch

_CONFIG_FILE = re.compile(r"\{config\}/([^/]+)$")


def problems(raw: dict[str, Any]) -> list[Problem]:
    """Every mistake that shows only when two keys are seen together."""
    checks = (
        _ports,
        _port_clashes,
        _roles,
        _commands,
        _hooks,
        _identities,
        _shared_units,
        _wheel_directories,
        _timeouts,
        _watches,
    )
    return [problem for check in checks for problem in check(raw)]


def _table(value: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _number(value: object, default: float) -> float:
    return default if isinstance(value, bool) or not isinstance(value, int | float) else value


def _url(raw: dict[str, Any], role: str) -> str:
    url = _table(raw, "roles", role, "health").get("url")
    return url if isinstance(url, str) else ""


def _ports(raw: dict[str, Any]) -> Iterator[Problem]:
    for role in _table(raw, "roles"):
        if "port" not in placeholders(_url(raw, role)):
            continue
        for environment in _table(raw, "environments"):
            if "port" not in _table(raw, "environments", environment, "roles", role):
                table = f"environments.{environment}.roles.{role}"
                wrong = f"is missing, while roles.{role}.health.url asks for {{port}}"
                yield Problem(f"{table}.port", wrong, f"Add [{table}] with port = and a number.")


def _port_clashes(raw: dict[str, Any]) -> Iterator[Problem]:
    for environment in _table(raw, "environments"):
        owners: defaultdict[int, list[str]] = defaultdict(list)
        for role in _table(raw, "environments", environment, "roles"):
            port = _table(raw, "environments", environment, "roles", role).get("port")
            if isinstance(port, int):
                owners[port].append(role)
        for port, roles in owners.items():
            if len(roles) > 1:
                key = f"environments.{environment}.roles.{roles[1]}.port"
                wrong = f"{port} is the port of {roles[0]} too, and both may share a server"
                yield Problem(key, wrong, "Give each role its own port.")


def _roles(raw: dict[str, Any]) -> Iterator[Problem]:
    for environment in _table(raw, "environments"):
        for role in _table(raw, "environments", environment, "roles"):
            if role not in _table(raw, "roles"):
                key = f"environments.{environment}.roles.{role}"
                yield Problem(key, f"there is no [roles.{role}]", "Add that table, or remove this one.")


def _commands(raw: dict[str, Any]) -> Iterator[Problem]:
    for role in _table(raw, "roles"):
        for name in placeholders(_url(raw, role)):
            if name not in URL:
                key = f"roles.{role}.health.url"
                yield Problem(key, f"{{{name}}} stands for nothing here", "Only {port} is filled in.")
        for command in ("check", "login"):
            for word in _texts(_table(raw, "roles", role).get(command)):
                yield from _word(raw, f"roles.{role}.{command}", word)
    for moment in _table(raw, "hooks"):
        for command in ("command", "back"):
            for word in _texts(_table(raw, "hooks", moment).get(command)):
                yield from _word(raw, f"hooks.{moment}.{command}", word)


def _hooks(raw: dict[str, Any]) -> Iterator[Problem]:
    for moment in _table(raw, "hooks"):
        role = _table(raw, "hooks", moment).get("role")
        if isinstance(role, str) and role not in _table(raw, "roles"):
            yield Problem(f"hooks.{moment}.role", f"there is no [roles.{role}]", "Name a role of this file.")


def _word(raw: dict[str, Any], key: str, word: str) -> Iterator[Problem]:
    for name in placeholders(word):
        if name not in CHECK:
            hint = "Only {release}, {config} and {data} are filled in."
            yield Problem(key, f"{{{name}}} stands for nothing here", hint)
    rendered = _CONFIG_FILE.search(word)
    if rendered:
        yield from _unrendered(raw, key, rendered[1])


def _identities(raw: dict[str, Any]) -> Iterator[Problem]:
    for role in _table(raw, "roles"):
        table, key = _table(raw, "roles", role), f"roles.{role}.identity_file"
        if table.get("identity") and "identity_file" not in table:
            wrong = f"is missing, while roles.{role}.identity names keys of it"
            yield Problem(key, wrong, "Name the rendered configuration file that holds them.")
        elif "identity_file" in table and not table.get("identity"):
            hint = "Add identity with the keys that make an account unique, or remove identity_file."
            yield Problem(key, f"is of no use without roles.{role}.identity", hint)
        name = table.get("identity_file")
        if isinstance(name, str):
            if not name.endswith(".json"):
                yield Problem(key, f"{name!r} is not JSON, so keys cannot be looked up in it", "Name a .json file.")
            yield from _unrendered(raw, key, name)


def _unrendered(raw: dict[str, Any], key: str, name: str) -> Iterator[Problem]:
    for environment in _table(raw, "environments"):
        if name not in _table(raw, "environments", environment, "config"):
            wrong = f"wants the configuration file {name!r}, which environment {environment!r} does not render"
            yield Problem(
                key, wrong, f'Add "{name}" = and the path of its template to [environments.{environment}.config].'
            )


def _shared_units(raw: dict[str, Any]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for role in _table(raw, "roles"):
        for unit in _texts(_table(raw, "roles", role).get("units")):
            name = unit.rpartition("/")[2]
            if name in owners:
                wrong = f"{name!r} is named twice (also in roles.{owners[name]}.units)"
                yield Problem(f"roles.{role}.units", wrong, "A server has one unit of a name: name it once.")
            owners.setdefault(name, role)


def _wheel_directories(raw: dict[str, Any]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for role in _table(raw, "roles"):
        lock = _table(raw, "roles", role).get("lock")
        if not isinstance(lock, str):
            continue
        stem = lock.rpartition("/")[2].rpartition(".")[0] or lock.rpartition("/")[2]
        other = owners.setdefault(stem, lock)
        if other != lock:
            wrong = f"{lock!r} and {other!r} share the name {stem!r}, under which their wheels would be kept"
            yield Problem(f"roles.{role}.lock", wrong, "Rename one of the files.")


def _timeouts(raw: dict[str, Any]) -> Iterator[Problem]:
    deadline = _number(_table(raw, "deadlines").get("verify"), DEFAULT_VERIFY)
    for role in _table(raw, "roles"):
        health = _table(raw, "roles", role, "health")
        if not health:
            continue
        timeout = _number(health.get("timeout"), DEFAULT_TIMEOUT)
        if timeout > deadline:
            wrong = f"{timeout:g} s is longer than deadlines.verify, {deadline:g} s"
            yield Problem(f"roles.{role}.health.timeout", wrong, "Lower the one or raise the other.")
        wait = (_number(health.get("samples"), 3) - 1) * _number(health.get("interval"), 0.1)
        if wait >= timeout:
            wrong = f"{timeout:g} s is too short for the samples, which alone take {wait:g} s"
            yield Problem(f"roles.{role}.health.timeout", wrong, "Raise it, or want fewer samples.")


def _watches(raw: dict[str, Any]) -> Iterator[Problem]:
    """A unit without a health URL is watched within the verification, so it must have the time."""
    deadline = _number(_table(raw, "deadlines").get("verify"), DEFAULT_VERIFY)
    for role in _table(raw, "roles"):
        table, watches = _table(raw, "roles", role), _table(raw, "roles", role, "watch_units")
        names = [path.rpartition("/")[2] for path in _texts(table.get("units"))]
        for name in watches:
            if name not in names:
                hint = "Name a unit of this role without its directory, for example 'my-bot.service'."
                yield Problem(f"roles.{role}.watch_units", f"{name!r} is no unit of the role", hint)
        longest = max([_number(table.get("watch"), DEFAULT_WATCH), *(_number(value, 0) for value in watches.values())])
        if names and "health" not in table and longest >= deadline:
            wrong = f"{longest:g} s does not fit into deadlines.verify, {deadline:g} s, and there is no health URL"
            yield Problem(f"roles.{role}.watch", wrong, "Lower the one or raise the other.")
