"""What systemd would run of a unit now and after a boot, which need not be what runs at this moment."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional

from .files import names_in, read_bytes, sha256_file
from .limits import Shown

UNIT_FILES = "/etc/systemd/system/"
DROP_INS = (UNIT_FILES, "/run/systemd/system/", "/etc/systemd/system.control/", "/run/systemd/system.control/")
DROP_IN_OF_ROOT = (
    "10-cytube-ops.conf"  # the drop-in that root writes for a unit; it names the account and the environment
)
DISTRIBUTION = ("/usr/lib/systemd/", "/lib/systemd/", "/usr/local/lib/systemd/")
# what another file must not say about a release's unit: which program, as whom, where, with what in its environment
DECISIVE_KEYS = ("Exec", "User", "Group", "DynamicUser", "WorkingDirectory", "Root", "Environment", "PassEnvironment")
GONE_AT_BOOT = ("disabled", "enabled-runtime", "linked-runtime", "masked", "masked-runtime", "transient", "bad")


class Overrides(NamedTuple):
    """`elsewhere`: what would run, now or at its next start, is not the unit's own; `gone`: not after a boot.

    `additions` are files that say something more about it and change none of that. All are sentences.
    """

    elsewhere: List[str]
    gone: List[str]
    additions: List[str]


def overrides_of(unit: str, shown: Dict[str, str], digest: Optional[str] = None) -> Overrides:
    """Of a unit as systemd shows it; `digest`, when given, is what its file must have."""
    found = Overrides([], [], [])
    path = shown.get("FragmentPath", "")
    if path != UNIT_FILES + unit:
        found.elsewhere.append(
            "%s comes from %s, not from %s; run provision." % (unit, path or "no file", UNIT_FILES + unit)
        )
    elif digest is not None and _digest(path) != digest:
        found.elsewhere.append("The unit file %s is not the release's; run provision." % unit)
    if shown.get("NeedDaemonReload") == "yes":
        said = (
            "The files of %s were changed and systemd has not read them: run 'systemctl daemon-reload' on the server."
        )
        found.elsewhere.append(said % unit)
    for drop_in in sorted({*shown.get("DropInPaths", "").split(), *_on_disk(unit)}):
        _add_drop_in(found, unit, drop_in)
    if shown.get("UnitFileState") in GONE_AT_BOOT:
        found.gone.append("%s is %s: it would not run after a boot; run provision." % (unit, shown["UnitFileState"]))
    return found


def overrides_of_all(units: List[str], shown: Shown, digests: Dict[str, str]) -> Overrides:
    """Of all units of a release together."""
    each = [overrides_of(unit, shown[unit], digests.get(unit)) for unit in units]
    return Overrides(*([said for one in each for said in one[number]] for number in range(3)))


def _on_disk(unit: str) -> List[str]:
    """The drop-ins that the next boot would read: of a directory that is new systemd itself does not know yet."""
    places = [top + of for top in DROP_INS for of in (unit + ".d", unit.rpartition(".")[2] + ".d")]
    return [place + "/" + name for place in places for name in names_in(place) if name.endswith(".conf")]


def _add_drop_in(found: Overrides, unit: str, path: str) -> None:
    if path.startswith(DISTRIBUTION):
        return
    keys = _keys(path)
    if keys is None:
        found.elsewhere.append("%s has a drop-in that cannot be read: %s." % (unit, path))
        return
    ours = path == "%s%s.d/%s" % (UNIT_FILES, unit, DROP_IN_OF_ROOT)
    changed = [key for key in keys if key.startswith("Exec" if ours else DECISIVE_KEYS)]
    if changed:
        said = "%s has a drop-in that sets %s: remove %s and run 'systemctl daemon-reload' on the server."
        found.elsewhere.append(said % (unit, ", ".join(changed), path))
    elif not ours:
        found.additions.append("%s has a drop-in: %s." % (unit, path))


def _keys(path: str) -> Optional[List[str]]:
    """What a drop-in sets; a continued line is read as one of its own, which shows too much and never too little."""
    try:
        lines = read_bytes(path).decode(errors="replace").splitlines()
    except OSError:
        return None
    keys = [line.partition("=")[0].strip() for line in lines if "=" in line and line.strip()[:1] not in ("#", ";")]
    return list(dict.fromkeys(keys))


def _digest(path: str) -> Optional[str]:
    try:
        return sha256_file(path)
    except OSError:
        return None
