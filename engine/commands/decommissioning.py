"""Taking everything of ours off a server, as a list of operations for `host/provision/`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.commands.operation import Operation, compiled, unit
from engine.commands.provisioning import DEPLOY_USER, ownership
from engine.commands.role_setup import KEPT_STATE
from engine.commands.units_program import units_program_path
from engine.host.agent.environments import kept_pip_path
from engine.host.agent.units import take_command
from engine.host.provision.inventory import list_path, program_path
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, generated_units

JOURNALD = "systemd-journald.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What to take off a server: tree `name`, `units` and what `roles` brought, `public_keys`; data when told to.

    `deploys` is the account that deployed it.
    """

    name: str
    deploys: str = DEPLOY_USER
    roles: Sequence[str]
    units: Iterable[str]
    public_keys: Sequence[str]
    delete_data: bool = False

    @property
    def data(self) -> list[str]:
        """What stays unless `delete_data`: what the application wrote, backups, the state of portal and watchers."""
        tree = f"/opt/{self.name}"
        return [f"{tree}/shared/data", f"{tree}/backups", *(path for role in self.roles for path in KEPT_STATE[role])]

    @property
    def all_units(self) -> list[str]:
        """Every unit that provisioning put there, in the order in which they end."""
        beside = sorted(BESIDE_A_RELEASE) if "portal" in self.roles else []
        return [*sorted({*self.units, *beside}), *generated_units(self.name)]


def operations(removal: Removal) -> list[Operation]:
    """Everything in the order it is done: services end before their files go, the way in goes last."""
    name, journal = removal.name, f"/etc/systemd/journald.conf.d/{removal.name}.conf"
    portal = "portal" in removal.roles
    files = [
        *(f"/etc/systemd/system/{unit_name}" for unit_name in removal.all_units),
        *((f"/etc/systemd/system/caddy.service.d/{name}.conf", "/etc/caddy/Caddyfile") if portal else ()),
        *((f"/etc/{name}/portal.env",) if portal else ()),
        f"/etc/sudoers.d/{name}",
        take_command(name)[-2],
        kept_pip_path(name),
        units_program_path(name),
        f"/etc/nftables.d/{name}.nft",
        program_path(name),
        list_path(name),
        journal,
    ]
    gone = [f"/opt/{name}", *(removal.data[2:] if removal.delete_data else ())]
    return [
        ownership(name),
        *((_ended("caddy.service", f"/etc/systemd/system/caddy.service.d/{name}.conf"),) if portal else ()),
        *(_ended(unit_name) for unit_name in removal.all_units),
        {"op": "units_dropped", "title": f"bounds of the units of {name}", "name": name},
        {"op": "no_firewall", "title": "firewall", "name": name},
        compiled(units_program_path(name), present=False),
        *({"op": "absent", "title": f"file {path}", "path": path} for path in files),
        unit(JOURNALD, enabled=None, started=True, restart_on=[journal]),
        *(_cleared(path, [] if removal.delete_data else removal.data) for path in gone),
        *(_locked_out(removal.deploys, key) for key in removal.public_keys),
    ]


def _ended(name: str, ours_by: str = "") -> Operation:
    """A unit that ends if its file is ours, or the file `ours_by`."""
    return {"op": "ended", "title": f"unit {name}", "name": name, "ours_by": ours_by}


def _cleared(path: str, keep: Sequence[str]) -> Operation:
    return {"op": "cleared", "title": f"directory {path}", "path": path, "keep": list(keep)}


def _locked_out(user: str, key: str) -> Operation:
    title = f"key {' '.join(key.split()[2:]) or 'without a comment'} may not deploy"
    return {"op": "authorized_key", "title": title, "user": user, "key": key, "present": False}
