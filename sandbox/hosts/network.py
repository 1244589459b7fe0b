"""The network of a set: a bridge on this machine, its address the gateway, and an address for every host."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network

from .errors import CommandFailed, NetworkTaken
from .processes import run

CANDIDATES = (IPv4Network("10.87.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("192.168.0.0/16"))
"""Private ranges (RFC 1918) that are searched for a free /24, in this order."""

FIRST_HOST = 10
"""Host I has the address network + 10 + I."""

MOST_HOSTS = 99
"""So that the name of a tap device keeps below the kernel's 15 characters."""


def bridge_name(slot: int) -> str:
    """The bridge of the set in this slot."""
    return f"cyhosts{slot}"


def tap_name(slot: int, number: int) -> str:
    """This machine's end of a host's cable."""
    return f"cyhosts{slot}-{number}"


def gateway(network: IPv4Network) -> str:
    """This machine's address on the bridge."""
    return str(network[1])


def address(network: IPv4Network, number: int) -> str:
    """A host's address."""
    return str(network[FIRST_HOST + number])


def hardware_address(slot: int, number: int) -> str:
    """A host's network card, or with number 0 the bridge's.

    The same as long as the set is up: left to the kernel, they change when a host boots or a cable is laid, and then
    what others remember of them is wrong for half a minute.
    """
    return f"02:00:00:{slot >> 8:02x}:{slot & 0xFF:02x}:{number:02x}"


def parse(text: str) -> IPv4Network:
    """A network as a person gives it (`10.1.2.0/24`).

    Raises ValueError, also for one that is too small for 99 hosts.
    """
    network = IPv4Network(text)
    if network.prefixlen > 24:
        raise ValueError(f"{text} is too small: a set of hosts needs a /24.")
    return network


def in_use() -> list[IPv4Network]:
    """Every network this machine has a route or an address in, the default route apart."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout or b"[]")
    return [IPv4Network(route["dst"], strict=False) for route in routes if route.get("dst", "default") != "default"]


def free(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps with none of the taken ones. Raises NetworkTaken."""
    used = list(taken)
    for wide in CANDIDATES:
        for network in wide.subnets(new_prefix=24):
            if not any(network.overlaps(other) for other in used):
                return network
    raise NetworkTaken(
        "No /24 of the private ranges is free on this machine.",
        hint="Take down sets of hosts that nobody needs: `python -m sandbox hosts down --all`.",
    )


def check_free(wanted: IPv4Network, taken: Iterable[IPv4Network]) -> None:
    """Raises NetworkTaken when something on this machine uses the wanted network."""
    clash = next((other for other in taken if other.overlaps(wanted)), None)
    if clash is not None:
        raise NetworkTaken(f"{wanted} overlaps with {clash}, which this machine uses.", hint="Choose another network.")


def create_bridge(slot: int, network: IPv4Network) -> None:
    """The bridge, with the gateway's address."""
    name = bridge_name(slot)
    lines = [
        f"link add {name} address {hardware_address(slot, 0)} type bridge",
        f"address add {gateway(network)}/{network.prefixlen} dev {name}",
        f"link set {name} up",
    ]
    run(["ip", "-batch", "-"], input="\n".join(lines).encode())


def remove_bridge(slot: int) -> None:
    """Take the bridge away; one that is gone is fine."""
    try:
        run(["ip", "link", "delete", bridge_name(slot)])
    except CommandFailed as error:
        if b"Cannot find device" not in error.stderr:
            raise


def connect(slot: int, number: int, network: IPv4Network, cable_pid: int) -> None:
    """Plug this end of a host's cable into the bridge, and give the other end the host's address and routes."""
    run(["ip", "link", "set", tap_name(slot, number), "master", bridge_name(slot), "up"])
    lines = [
        "link set lo up",
        f"link set host0 address {hardware_address(slot, number)}",
        f"address add {address(network, number)}/{network.prefixlen} dev host0",
        "link set host0 up",
        f"route add default via {gateway(network)}",
    ]
    run(["nsenter", f"--net=/proc/{cable_pid}/ns/net", "ip", "-batch", "-"], input="\n".join(lines).encode())
