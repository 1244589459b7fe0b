"""Making the units of the live release those that systemd knows, with root's bounds beside them.

Done again it changes nothing; done after a power cut it ends what was begun. What decides is `current` of the tree, and
what of the tree is believed is nothing: all is copied first, and checked as a copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from .clearing import cleared
from .live_release import live_release, read_release, readable, secret_names
from .ownership import RECORDS, Ours, deploying_account, roots_own, unit_sudoers_path
from .paths import Refused
from .root_files import RootLock, put_root_file, remove_empty, remove_root_file
from .server_units import OUR_UNITS
from .tools import call, must
from .unit_bounds import ALWAYS_HELD, DROP_IN, drop_in, held, read_by_root
from .unit_checks import keep, refuse_units
from .unit_file import in_the_end, read_unit
from .unit_rules import BESIDE_A_RELEASE, generated_units, reaches_others

STOP_TIMEOUT = 30.0  # s for a unit that is gone; then it is killed
SYSTEMCTL = "/usr/bin/systemctl"
NEEDS_RELOAD = ("show", "-p", "NeedDaemonReload", "--value")


class Switched(NamedTuple):
    """What was, or would be, different: units put, units that are gone, and root's bounds rewritten."""

    put: List[str]
    gone: List[str]
    bounded: List[str]

    def __bool__(self) -> bool:
        return bool(self.put or self.gone or self.bounded)


def unit_commands(unit: str) -> List[str]:
    """What the agent may do with a unit of the live release: exactly these (agent/systemd.py uses them)."""
    verbs = ("reset-failed", "--no-block restart", "--no-block stop")
    return ["%s %s %s" % (SYSTEMCTL, verb, unit) for verb in verbs]


def record_path(name: str) -> str:
    """Which release's units a server has; everybody may read it, the agent does."""
    return "%s/%s.units" % (RECORDS, name)


def roles_path(name: str) -> str:
    """The roles that provisioning gave a server: whose units it takes."""
    return "%s/%s.roles" % (RECORDS, name)


def take_units(
    name: str, ours: Ours, plan: bool = False, boot: bool = False, roles: Optional[List[str]] = None
) -> Switched:
    """Have systemd know the units of the live release, or bound those that provisioning put where none is live.

    `roles` are the server's, by default as provisioning recorded them. Raises Refused; then nothing has changed, but
    that units whose bounds would be those of others, too, are ended whatever is live.
    """
    with RootLock("%s/%s.units.lock" % (RECORDS, name), "The units of %s" % name) if not plan else _Unlocked():
        release = live_release(name)
        if not plan:
            _end_reaching_others(name, ours)
            _hold_secrets(name)
        if release is None:
            wanted = {
                unit: content
                for unit in units_here(name, ours)
                if not reaches_others(unit) and (content := roots_own(_path(unit))) is not None
            }
        else:
            live = read_release(name, release, roles or _roles(name))
            refuse_units(name, live.units, live.accounts, generated_units(name), ours)
            wanted = live.units
        return _switch(name, ours, wanted, release, plan, boot)


def drop_units(name: str, ours: Ours, plan: bool) -> bool:
    """End the units that a release brought, and take away what was put beside them; whether there was any of it."""
    left = units_here(name, ours)
    paths = [*_drop_ins(ours), unit_sudoers_path(name), record_path(name), roles_path(name)]
    there = bool(left) or any(os.path.lexists(path) for path in [*paths, held(name)])
    if not plan:
        _end(ours, left)
        for path in paths:
            remove_root_file(path)
            ours.drop("file", path)
            if path.endswith("/" + DROP_IN):
                remove_empty(os.path.dirname(path))
        cleared(held(name), [], plan)
    return there


def units_here(name: str, ours: Ours) -> List[str]:
    """The units of a release that a server has, by root's record."""
    mine = [thing[len("file ") :] for thing in ours.things | ours.planned if thing.startswith("file " + OUR_UNITS)]
    units = [path[len(OUR_UNITS) + 1 :] for path in mine]
    beside = {*generated_units(name), *BESIDE_A_RELEASE}
    return sorted(unit for unit in units if "/" not in unit and unit not in beside)


def bounds_of_others(ours: Ours) -> List[str]:
    """Drop-ins of ours that systemd applies to units of others, too: what an earlier version let a release bring."""
    return [path for path in _drop_ins(ours) if reaches_others(os.path.basename(os.path.dirname(path))[: -len(".d")])]


def _end_reaching_others(name: str, ours: Ours) -> None:
    wide = bounds_of_others(ours)
    _end(ours, [unit for unit in units_here(name, ours) if reaches_others(unit)])
    for path in wide:
        remove_root_file(path)
        ours.drop("file", path)
        remove_empty(os.path.dirname(path))
    if wide:
        must([SYSTEMCTL, "daemon-reload"])


def _switch(
    name: str, ours: Ours, wanted: Dict[str, bytes], release: Optional[str], plan: bool, boot: bool
) -> Switched:
    before = record(name)
    digests = {unit: hashlib.sha256(content).hexdigest() for unit, content in wanted.items()}
    known = before.get("units", digests)
    put = [unit for unit in wanted if roots_own(_path(unit)) != wanted[unit] or known.get(unit) != digests[unit]]
    gone = [unit for unit in units_here(name, ours) if unit not in wanted] if release else []
    files = {_drop_in_path(unit): drop_in(name, unit, content) for unit, content in wanted.items()}
    files[unit_sudoers_path(name)] = _granted(name, wanted)
    bounded = [path for path, content in files.items() if roots_own(path) != content]
    switched = Switched(put, gone, bounded)
    if plan:
        return switched
    _hold_environment(name, wanted)
    for content in wanted.values():
        keep(ours, content)
    if switched:
        # what is about to change is settled no more: whoever ends this after a power cut does all of it again
        _note(name, None, {unit: digest for unit, digest in digests.items() if unit not in put})
        _end(ours, gone)
        _close([unit for unit in put if unit.endswith(".socket")], wanted)
        files.update({_path(unit): wanted[unit] for unit in put})
        for path in [*bounded, *map(_path, put)]:  # never a unit without its bounds
            ours.add("file", path)
            put_root_file(path, files[path], 0o440 if path == unit_sudoers_path(name) else 0o644)
        starts = [unit for unit in put if any(line.section == "Install" for line in read_unit(wanted[unit]))]
        _tell_systemd(starts if release else [], boot)
    if before != {"release": release, "units": digests} or switched:
        _note(name, release, digests)
    if not switched and wanted and "yes" in must([SYSTEMCTL, *NEEDS_RELOAD, "--", *wanted]).split():
        must([SYSTEMCTL, "daemon-reload"])
    return switched


def _tell_systemd(put: List[str], boot: bool) -> None:
    if put:
        must([SYSTEMCTL, "--no-reload", "--quiet", "reenable", "--", *put])
    must([SYSTEMCTL, "daemon-reload"])
    for unit in put if boot else ():
        if call([SYSTEMCTL, "is-enabled", "--quiet", "--", unit])[0] == 0:
            must([SYSTEMCTL, "--no-block", "start", "--", unit])


def record(name: str) -> Dict[str, Any]:
    """Which release's units systemd knows, and each one's sha256; empty where none were taken yet."""
    content = roots_own(record_path(name))
    return {} if content is None else dict(json.loads(content))


def _note(name: str, release: Optional[str], units: Dict[str, str]) -> None:
    put_root_file(record_path(name), json.dumps({"release": release, "units": units}).encode(), 0o644)


def _end(ours: Ours, gone: Iterable[str]) -> None:
    """Units that the release has no more end for good."""
    for unit in gone:
        if call([SYSTEMCTL, "stop", "--", unit], STOP_TIMEOUT)[0] == 124:
            call([SYSTEMCTL, "kill", "--signal=KILL", "--", unit])
        call([SYSTEMCTL, "--no-reload", "--quiet", "disable", "--", unit])
        for path in (_drop_in_path(unit), _path(unit)):
            remove_root_file(path)
            ours.drop("file", path)
        remove_empty(os.path.dirname(_drop_in_path(unit)))


def _close(sockets: Iterable[str], units: Dict[str, bytes]) -> None:
    """A socket that changes or is new closes, with the service behind it: systemd opens none whose service runs.

    Whatever a socket names, nothing is stopped that is not one of `units`.
    """
    for unit in sockets:
        named = in_the_end(read_unit(units[unit]), "Socket", "Service") or [unit[: -len("socket")] + "service"]
        behind = [service for service in named if service in units and service.endswith(".service")]
        call([SYSTEMCTL, "stop", "--", unit, *behind], STOP_TIMEOUT)


def _granted(name: str, units: Iterable[str]) -> bytes:
    lines = ["# What deployments of %s may do with the units of what is live. Written by root." % name]
    lines += [
        "%s ALL=(root) NOPASSWD: %s" % (deploying_account(name), said) for unit in units for said in unit_commands(unit)
    ]
    return "\n".join([*lines, ""]).encode()


def _hold_secrets(name: str) -> None:
    paths = ["shared/secrets/" + secret for secret in secret_names(name)]
    _hold(name, paths)
    _forget(name, "shared/secrets", paths)


def _hold_environment(name: str, wanted: Dict[str, bytes]) -> None:
    paths = {path for content in wanted.values() for path in read_by_root(name, content)}
    _hold(name, sorted({ALWAYS_HELD, *(path for path in paths if not path.startswith("shared/secrets/"))}))


def hold_missing(name: str, content: bytes) -> None:
    """Root's copies of what this unit is given, where there is none yet: before anything was live."""
    paths = [path for path in read_by_root(name, content) if roots_own("%s/%s" % (held(name), path)) is None]
    _hold(name, paths)


def _hold(name: str, paths: List[str]) -> None:
    """Keep root's copies of files of the tree as they are now."""
    for path, content in zip(paths, readable(["/opt/%s/%s" % (name, path) for path in paths])):
        copy = "%s/%s" % (held(name), path)
        if content is None:
            remove_root_file(copy)
        elif roots_own(copy) != content:
            put_root_file(copy, content, 0o600)


def _forget(name: str, directory: str, paths: List[str]) -> None:
    """Copies of what is not there any more."""
    top = "%s/%s" % (held(name), directory)
    try:
        copies = os.listdir(top)
    except FileNotFoundError:
        return
    for copy in copies:
        if "%s/%s" % (directory, copy) not in paths:
            remove_root_file("%s/%s" % (top, copy))


def _roles(name: str) -> List[str]:
    content = roots_own(roles_path(name))
    if content is None:
        raise Refused("Nobody has recorded the roles of this server. Run provision.")
    return [str(role) for role in json.loads(content)]


def _path(unit: str) -> str:
    return "%s/%s" % (OUR_UNITS, unit)


def _drop_in_path(unit: str) -> str:
    return "%s/%s.d/%s" % (OUR_UNITS, unit, DROP_IN)


def _drop_ins(ours: Ours) -> List[str]:
    return sorted(thing[len("file ") :] for thing in ours.things if thing.endswith("/" + DROP_IN))


class _Unlocked:
    """In the place of a lock, for who only looks."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
