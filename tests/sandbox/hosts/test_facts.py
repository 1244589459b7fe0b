"""The parts that only reckon: texts in, values out."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from sandbox.hosts import NetworkTaken, cgroups, image, network
from sandbox.hosts.cable import LinkProfile
from sandbox.hosts.disk import parse_size
from sandbox.hosts.keys import fingerprint
from sandbox.hosts.processes import ProcessId

HYBRID_MOUNTS = """\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
34 30 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
35 30 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
HYBRID_GROUPS = "5:freezer:/\n4:memory:/jobs/7\n3:cpu,cpuacct:/\n1:name=systemd:/user\n0::/user\n"


@pytest.mark.parametrize(
    ("mounts", "groups", "expected"),
    [
        (
            HYBRID_MOUNTS,
            HYBRID_GROUPS,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/memory/jobs/7",
                "/sys/fs/cgroup/systemd/user",
                "/sys/fs/cgroup/unified/user",
            ],
        ),
        (
            "30 25 0:26 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate",
            "0::/user.slice/session-1.scope\n",
            ["/sys/fs/cgroup"],
        ),
        (
            "30 25 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            "4:memory:/docker/abc/inner\n",
            ["/sys/fs/cgroup/memory/inner"],
        ),
    ],
    ids=["hybrid", "version 2 alone", "in a container"],
)
def test_where_control_groups_are_made(mounts: str, groups: str, expected: list[str]) -> None:
    assert cgroups.bases(mounts, groups) == [Path(path) for path in expected]


@pytest.mark.parametrize(
    ("targets", "mirror"),
    [
        (
            "Debian|Debian-Security|http://a.example/debian-security/\n"
            "Docker|Docker CE|https://b.example/linux/debian/\n"
            "Debian|Debian|https://c.example/debian/\n",
            "https://c.example/debian/",
        ),
        ("Debian|Debian|cdrom://disc/\n", None),
        ("Ubuntu|Ubuntu|http://d.example/ubuntu/\n", None),
        ("", None),
    ],
)
def test_the_mirror_is_the_one_this_machine_uses_for_debian(targets: str, mirror: str | None) -> None:
    assert image.debian_mirror(targets) == mirror


def test_a_network_is_chosen_that_nothing_uses() -> None:
    used = [IPv4Network("10.87.0.0/23"), IPv4Network("10.87.2.77/32"), IPv4Network("192.0.2.0/24")]

    assert network.free(used) == IPv4Network("10.87.3.0/24")
    assert network.free([IPv4Network("10.0.0.0/8")]) == IPv4Network("172.29.0.0/24")
    with pytest.raises(NetworkTaken, match="No /24 of the private ranges is free"):
        network.free(network.CANDIDATES)


def test_addresses_and_names_fit() -> None:
    wide = IPv4Network("10.87.3.0/24")

    assert network.gateway(wide) == "10.87.3.1"
    assert network.address(wide, 1) == "10.87.3.11"
    assert network.address(wide, network.MOST_HOSTS) in {str(address) for address in wide.hosts()}
    assert len(network.tap_name(9999, network.MOST_HOSTS)) <= 15


@pytest.mark.parametrize("text", ["10.87.3.0/25", "10.87.3.7/24", "everything"])
def test_what_is_no_network_of_a_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.87\.3|everything"):
        network.parse(text)


def test_the_cable_is_told_in_the_units_people_use() -> None:
    profile = LinkProfile().with_latency(50).with_loss(0.5).with_rate(20_000)

    assert (profile.delay_us, profile.loss_ppm, profile.rate_kbit) == (25_000, 5_000, 20_000)
    assert str(profile) == "50 ms  0.5 % lost  20000 kbit/s"
    assert profile.with_latency(0).delay_us == 0


@pytest.mark.parametrize(("text", "size"), [("30M", 30 << 20), ("64k", 64 << 10), ("1G", 1 << 30), ("4096", 4096)])
def test_sizes_of_disks(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["0", "5G", "-1M", "1.5M", "off", ""])
def test_what_is_no_size_of_a_disk(text: str) -> None:
    with pytest.raises(ValueError, match="no size of a disk"):
        parse_size(text)


def test_a_fingerprint_is_openssh_s() -> None:
    # ssh-keygen -lf prints this for the key
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH9TN04ef7KiSRHNvVH5w6kRVrlXVjhFvf38HZjzA6xX"

    assert fingerprint(line) == "SHA256:NQ3ZotdWoETHnhejdmpSQdo1hDmfgU1FHE5g41rkvJY"


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    me = ProcessId.self()

    assert me.alive()
    assert ProcessId.parse(str(me)) == me
    assert not ProcessId(me.pid, me.started - 1).alive()
