"""preflight: everything that can be known beforehand, and what a revert has to bring back."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import time
from typing import Any, Optional

from ..environments import start_environments
from ..errors import StepFailed
from ..files import read_bytes, read_json, readlink, sha256_file
from ..health import probe
from ..limits import (
    BALLAST,
    CLOCK_TOLERANCE,
    ENV_BYTES,
    ENV_FACTOR,
    HEALTH_URL,
    MARGIN,
    MARGIN_INODES,
    SUDO,
    Record,
    Shown,
)
from ..live_database import database_bytes
from ..processes import Tools
from ..sockets import owns_port
from ..systemd import Systemd, sudo_commands
from ..tree import Tree, env_complete
from ..unit_overrides import overrides_of_all
from ..units import TOLD, ready_to_take, run_command, take_command, taken
from .work import Work


class Preflight:
    """Everything that can be known beforehand. Changes nothing; `before` is what a revert has to bring back."""

    def __init__(self, tree: Tree, plan: Record, tools: Tools, systemd: Systemd) -> None:
        self.tree = tree
        self.plan = plan
        self.tools = tools
        self.systemd = systemd
        self.directory = tree.release(plan["release"])
        self.units = [unit for role in plan["roles"] for unit in role["units"]]
        self.shown: Shown = {}
        self.taken: Record = {}
        self.before: Record = {}
        self.may_wait = False
        """Whether root's program may come up before it is told what to do; since when, sudoers say."""

    def look(self) -> Record:
        """All checks; the facts of the step. Raises StepFailed for the first that says no."""
        sudo = self.tools.start([*SUDO, "-l"])
        self.taken = taken(self.tree)
        here = [*self.units, *(unit for unit in self.taken.get("units", ()) if unit not in self.units)]
        showing = self.systemd.start_show(here) if here else None
        self._check_python()
        self._check_clock()
        self._check_tree()
        self._check_base()
        self._check_disk()
        self._check_secrets()
        if not self.taken:
            self._check_unit_files()
        health = {role["role"]: probe(role["health"]) for role in self.plan["roles"] if role["health"]}
        self.shown = self.systemd.finish_show(showing, here) if showing else {}
        self._check_units()
        self._check_ports()
        self._check_sudo(sudo)
        self.before = self._as_it_is(health)
        return {
            "current": self.before["current"],
            "as_assumed": self._base_as_assumed(),
            "python": "%d.%d.%d" % sys.version_info[:3],
            "connected_before": {role: seen.get("connected") for role, seen in health.items()},
            "versions_before": {role: seen.get("version") for role, seen in health.items()},
        }

    def _as_it_is(self, health: Record) -> Record:
        """What a revert has to bring back."""
        current = self.tree.current_release()
        return {
            "current": current,
            "config": self.tree.config_link(current),
            "had_release": os.path.isdir(self.directory),
            "had_config": os.path.isdir(os.path.join(self.tree.config, self.plan["config"]["digest"])),
            "units": {
                unit: {"active": shown.get("ActiveState"), "pid": int(shown.get("MainPID") or 0)}
                for unit, shown in self.shown.items()
            },
            "units_of": [self.taken["release"]] if self.taken else None,
            "health": health,
        }

    def _check_python(self) -> None:
        wanted = tuple(int(part) for part in self.plan["python"].split("."))
        if sys.version_info[: len(wanted)] < wanted:
            raise StepFailed(
                "python_too_old",
                "This server has Python %d.%d, and the release needs %s. Upgrade the server, or build a release for "
                "its Python, 3.11 or newer (python in deploy.toml)."
                % (sys.version_info[0], sys.version_info[1], self.plan["python"]),
            )

    def _check_clock(self) -> None:
        difference = time.time() - float(self.plan["clock"])
        if abs(difference) > CLOCK_TOLERANCE:
            raise StepFailed(
                "clock_wrong",
                "This server's clock is %d s %s of the portal's. Have both synchronised (timedatectl)."
                % (abs(difference), "ahead" if difference > 0 else "behind"),
            )

    def _check_tree(self) -> None:
        for path in (self.tree.releases, self.tree.envs, self.tree.config, self.tree.data, self.tree.backups):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                raise StepFailed("not_provisioned", "%s does not exist on this server; run provision." % path) from None
            if not os.access(path, os.W_OK | os.X_OK):
                raise StepFailed("not_provisioned", "%s belongs to somebody else here; run provision." % path)
            if status.st_mode & stat.S_IWOTH:
                raise StepFailed("not_provisioned", "Everybody may write to %s; run provision." % path)
        if os.path.lexists(self.tree.current) and not os.path.islink(self.tree.current):
            raise StepFailed("not_provisioned", "%s is no link; move it away and run provision." % self.tree.current)

    def _check_base(self) -> None:
        expected, current = self.plan["expects"], self.tree.current_release()
        if expected is not None and current != expected:
            raise StepFailed(
                "base_changed",
                "This server runs %s, and the plan was made for a server that runs %s. Request the deployment again."
                % (current or "nothing", expected),
            )
        if self.plan["release"] == current:
            for role in self.plan["roles"]:
                link = readlink(os.path.join(self.directory, ".envs", role["role"]))
                if role["env_digest"] and link is not None and os.path.basename(link) != role["env_digest"]:
                    raise StepFailed(
                        "environment_differs",
                        "The release that runs cannot get another environment in place; build a new release.",
                    )

    def _base_as_assumed(self) -> bool:
        base, current = self.plan["base"], self.tree.current_release()
        if base is None or current is None:
            return base is None and current is None
        try:
            stored = hashlib.sha256(read_bytes(self.tree.manifest_path(current))).hexdigest()
        except OSError:
            stored = ""
        return bool(base["release"] == current and base["manifest_digest"] == stored)

    def _check_disk(self) -> None:
        needed = int(self.plan["need_bytes"]) + MARGIN + BALLAST
        for role in self.plan["roles"]:
            for name in role["databases"]:
                needed += 2 * database_bytes(self.tree.data, name)  # the backup, and the copy for counting afterwards
            if role["env_digest"] and not env_complete(self.tree, role["env_digest"]):
                stem = os.path.splitext(os.path.basename(role["lock"]))[0]
                wheels = sum(row[3] for row in self.plan["manifest"] if row[0].startswith("wheels/%s/" % stem))
                needed += ENV_BYTES + ENV_FACTOR * wheels
        disk = os.statvfs(self.tree.root)
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            raise StepFailed(
                "disk_full",
                "%d MB are free on this server and %d MB are needed. Free some space, or keep fewer releases."
                % (free >> 20, (needed >> 20) + 1),
                free=free,
                needed=needed,
            )
        if disk.f_files and disk.f_favail < len(self.plan["manifest"]) + MARGIN_INODES:
            raise StepFailed("disk_full", "The file system of this server has no room for more files (inodes).")

    def _check_secrets(self) -> None:
        versions = read_json(self.tree.secret_versions, {})
        for role in self.plan["roles"]:
            for name, version in role["secrets"].items():
                there = os.path.exists(os.path.join(self.tree.secrets, name))
                if not there or versions.get(name) != version:
                    raise StepFailed(
                        "secret_missing",
                        "The secret %s of the %s is %s on this server; deliver it with set_secret."
                        % (name, role["role"], "of another version" if there else "not"),
                    )

    def _check_unit_files(self) -> None:
        for role in self.plan["roles"]:
            for unit, digest in role["unit_files"].items():
                try:
                    found: Optional[str] = sha256_file("/etc/systemd/system/" + unit)
                except OSError:
                    found = None
                if found != digest:
                    raise StepFailed(
                        "units_differ",
                        "The unit file %s on this server %s the release's; run provision once, and from then on units "
                        "travel with their release." % (unit, "differs from" if found else "is missing, unlike"),
                    )

    def _check_units(self) -> None:
        for unit, shown in self.shown.items():
            if self.taken and shown.get("LoadState") in ("loaded", "not-found"):
                continue  # root takes over what the release has, and has systemd read it
            if shown.get("LoadState") != "loaded":
                raise StepFailed(
                    "units_differ", "systemd does not know %s (%s); run provision." % (unit, shown.get("LoadState"))
                )
            if shown.get("NeedDaemonReload") == "yes":
                raise StepFailed(
                    "units_differ", "The file of %s was changed, but systemd has not read it; run provision." % unit
                )
        seen, here = self.shown, self.units
        if self.taken:  # what is not there yet, or not any more, and what systemd has not read, root sees to
            seen = {unit: {**values, "NeedDaemonReload": "no"} for unit, values in self.shown.items()}
            here = [unit for unit in here if seen[unit].get("LoadState") != "not-found"]
        elsewhere = overrides_of_all(here, seen, {}).elsewhere
        if elsewhere:
            raise StepFailed("units_differ", elsewhere[0])

    def _check_ports(self) -> None:
        for role in self.plan["roles"]:
            if not role["health"]:
                continue
            port = int(HEALTH_URL.fullmatch(role["health"]["url"]).group(2))  # type: ignore[union-attr]  # checked
            shown = [self.shown[unit] for unit in role["units"]]
            if owns_port(port, shown, role["units"]) is False:
                raise StepFailed(
                    "port_taken",
                    "Port %d of the %s is in use by a process that is none of its units; stop that one first."
                    % (port, role["role"]),
                )

    def _check_sudo(self, process: Any) -> None:
        code, listing = self.tools.finish(process)
        granted = set(re.split(r",\s+|\n\s*|\)\s+|:\s+", listing)) if code == 0 else set()
        self.may_wait = bool(self.taken) and " ".join(take_command(self.plan["name"], TOLD)) in granted
        # what it may do with units comes with them where root takes them over
        wanted = [take_command(self.plan["name"])] if self.taken else []
        hooked = any(hook["account"] == "application" for hook in self.plan.get("hooks", ()))
        if hooked or any(role.get("dumps") for role in self.plan["roles"]):
            wanted.append(run_command(os.path.basename(self.tree.root)))
        here = [unit for unit in self.units if unit in self.taken["units"]] if self.taken else self.units
        for command in [*wanted, *(command for unit in here for command in sudo_commands(unit))]:
            line = " ".join(command)
            if line not in granted and self.tools.call([*SUDO, "-l", *command])[0] != 0:
                raise StepFailed("no_sudo", "This user may not run '%s' through sudo here; run provision." % line)
        if os.geteuid() != 0 and self.units:
            import grp

            groups = {grp.getgrgid(gid).gr_name for gid in os.getgroups()}
            if not groups & {"systemd-journal", "adm"}:
                raise StepFailed(
                    "journal_unreadable", "This user may not read the journal (group systemd-journal); run provision."
                )


def preflight(work: Work) -> Record:
    """Look at everything, keep what a revert needs, and set room aside for it."""
    looked = Preflight(work.tree, work.plan, work.tools, work.systemd)
    facts = looked.look()
    work.before = looked.before
    work.tree.fill_ballast()
    if looked.may_wait:
        work.taker = ready_to_take(work.tree, work.tools)
    work.environments = start_environments(work.tree, work.tools, work.plan)
    return facts
