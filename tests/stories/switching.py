"""Root's program, held while it switches units: by systemctl itself, since a program of root's takes no rehearsals."""

from collections.abc import Callable
from pathlib import Path

from deployments.models import Release
from engine.host.agent.limits import MOMENTS
from sandbox.hosts import Host
from tests.fixtures.fleet import UNIT
from tests.stories.running import deadlines, shell
from tests.stories.world import World

LONGEST_HOLD = 15  # s; nobody but root can end what root does
_REAL, _HOLDING = "/srv/systemctl.real", "/srv/systemctl.holding"
_PROGRAM = f"""\
#!/bin/sh
case "$*" in *daemon-reload*)
    if mkdir /tmp/struck 2>/dev/null; then
        left={LONGEST_HOLD * 20}
        until test -e /tmp/go -o $left = 0; do sleep 0.05; left=$((left - 1)); done
        {{after}}
    fi;;
esac
exec {_REAL} "$@"
"""


def hold_the_switch(machine: Host, after: str = ":") -> None:
    """The next reload of systemd waits for `go_on`, and then does `after`, before it happens."""
    let_switch(machine)
    script = f"rm -rf /tmp/go; cp /usr/bin/systemctl {_REAL}; cat > {_HOLDING}; chmod 755 {_HOLDING};"
    machine.root(
        ["sh", "-c", script + f"mount --bind {_HOLDING} /usr/bin/systemctl"],
        input=_PROGRAM.format(after=after).encode(),
    )


def switch_is_held(machine: Host) -> bool:
    """Whether root waits there."""
    return shell(machine, "test -d /tmp/struck && echo held") == "held"


def let_switch(machine: Host) -> None:
    """systemctl is systemctl."""
    shell(machine, "umount -q /usr/bin/systemctl; rm -rf /tmp/struck")


class SwitchingWorld(World):
    """Each of its releases brings a unit file of its own, and a hook at every moment."""

    def release(self, version: str, change: Callable[[Path], None] = lambda tree: None) -> Release:
        def with_unit_and_hooks(tree: Path) -> None:
            change(tree)
            others = {hook: 30.0 for hook in MOMENTS if f"[hooks.{hook}]" not in (tree / "deploy.toml").read_text()}
            deadlines(**others)(tree)
            unit = tree / "systemd" / UNIT
            unit.write_text(unit.read_text().replace("Description=Dice bot", f"Description=Dice bot {version}"))

        return super().release(version, with_unit_and_hooks)

    def calm(self) -> None:
        super().calm()
        let_switch(self.machine)
