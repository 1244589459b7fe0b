"""Real Debian 12 servers on one machine, for the demo and the tests: systemd as first process, sshd, sudo, nftables,
control groups and addresses of their own (systemd-nspawn, overlayfs, network namespaces), in about a second each
and without internet once the image exists.

    with HostSet("mine") as hosts:
        first, second = hosts.up(2)
        subprocess.run(first.ssh_command("systemctl", "is-system-running"))
        first.latency(50)                 # and loss, rate, link, disk, power_off, power_on

What is real: every program is Debian's; MemoryMax, TasksMax, CPUQuota, DynamicUser, ProtectSystem and its kin,
SystemCallFilter are enforced; journald keeps its journal on disk; a full disk, a cut cable, a black hole and a power
cut are what they are. What is not: IPAddressDeny is ignored; there is one clock and one kernel, so a power cut loses
no page cache, and a lost frame may be one of up to 64 KB (segmentation offload); pam_systemd and logind are out, so
there are no user sessions; hosts reach each other and this machine, nothing else. On machines with version 2 control
groups alone, limits hold only where this process may hand controllers on.

A host on the layer `bare` lets root in with the set's key and has no user and no directory of the product: those are
what `provision` makes.
"""

from .availability import unavailable_reason
from .errors import (
    BootFailed,
    CommandFailed,
    DeadlinePassed,
    DirectoryRefused,
    HostOff,
    HostsError,
    HostUnknown,
    ImageFailed,
    LayerTaken,
    LayerUnknown,
    NetworkTaken,
    SetTaken,
    SetUnknown,
    Unavailable,
)
from .host import Host
from .hostset import HostSet, ensure_layer
from .layers import remove_layer, saved_layers

__all__ = [
    "BootFailed",
    "CommandFailed",
    "DeadlinePassed",
    "DirectoryRefused",
    "Host",
    "HostOff",
    "HostSet",
    "HostUnknown",
    "HostsError",
    "ImageFailed",
    "LayerTaken",
    "LayerUnknown",
    "NetworkTaken",
    "SetTaken",
    "SetUnknown",
    "Unavailable",
    "ensure_layer",
    "remove_layer",
    "saved_layers",
    "unavailable_reason",
]
