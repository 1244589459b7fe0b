"""The firewall's rules: a table of our own that closes our own private ports; strict, all but what is named."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, Iterable, List, Set


def table_of(name: str) -> str:
    """The table of an application; nftables allows no dash in a name."""
    return name.replace("-", "_")


def rules_path(name: str) -> str:
    """Where the rules lie that a boot loads."""
    return "/etc/nftables.d/%s.nft" % name


def rules(operation: Dict[str, Any], sign_in: Set[int]) -> str:
    """The table as nft reads it: it replaces one that is there in a single step."""
    table, strict = table_of(operation["name"]), operation["strict"]
    public = set(operation["public"])
    private = set(operation["private"]) - public
    lines = ['iif "lo" accept', "ct state established,related accept"]
    if strict:
        lines += [
            "ct state invalid drop",
            "meta l4proto { icmp, ipv6-icmp } accept",
            "udp sport 67 udp dport 68 accept",
            "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
            "tcp dport { %s } accept" % ports_listed(sign_in | public),
        ]
    if private:
        lines += _from_allowed(operation["allowed"], ports_listed(private))
        lines += [] if strict else ["tcp dport { %s } drop" % ports_listed(private)]
    head = "type filter hook input priority 0; policy %s;" % ("drop" if strict else "accept")
    body = "\n".join("        " + line for line in [head, *lines])
    return "table inet %s\ndelete table inet %s\ntable inet %s {\n    chain input {\n%s\n    }\n}\n" % (
        (table,) * 3 + (body,)
    )


def _from_allowed(allowed: Iterable[str], ports: str) -> List[str]:
    networks = [ipaddress.ip_network(address) for address in allowed]
    fours = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    sixes = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    # nft refuses a set in which one range lies in another
    collapsed = (
        ("ip", [str(network) for network in ipaddress.collapse_addresses(fours)]),
        ("ip6", [str(network) for network in ipaddress.collapse_addresses(sixes)]),
    )
    return [
        "%s saddr { %s } tcp dport { %s } accept" % (family, ", ".join(ours), ports)
        for family, ours in collapsed
        if ours
    ]


def ports_listed(ports: Iterable[int]) -> str:
    """Ports in order, each once."""
    return ", ".join(str(port) for port in sorted(set(ports)))
