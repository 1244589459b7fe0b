"""Provision once, boot copies."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.hosts import (
    Host,
    HostsError,
    HostSet,
    LayerTaken,
    LayerUnknown,
    ensure_layer,
    layers,
    remove_layer,
    saved_layers,
)

pytestmark = pytest.mark.hosts


def provision(host: Host) -> None:
    host.root(["useradd", "--system", "rosey"])
    host.root(["sh", "-ec", "mkdir -p /opt/rosey-bot; echo v1 > /opt/rosey-bot/release; rm /etc/default/locale"])
    host.root(["systemctl", "enable", "nftables"])


@pytest.fixture(scope="module")
def layer() -> Iterator[str]:
    name = f"test-{os.getpid()}"
    yield ensure_layer(name, provision)
    remove_layer(name)


def test_copies_have_what_was_provisioned_and_nothing_that_told_the_original_apart(layer: str) -> None:
    with HostSet(f"copies-{os.getpid()}") as hosts:
        first, second = hosts.up(2, layer)

        for host in (first, second):
            assert host.root(["cat", "/opt/rosey-bot/release"]).stdout == b"v1\n"
            assert host.root(["id", "-un", "rosey"]).returncode == 0
            assert host.root(["ls", "/etc/default/locale"], check=False).returncode != 0
            firewall = host.root(["systemctl", "status", "nftables"], check=False)
            assert firewall.returncode == 0, firewall.stdout.decode()
            assert len(host.root(["journalctl", "--list-boots", "--no-pager", "-q"]).stdout.splitlines()) == 1
        assert first.host_key != second.host_key
        machine_ids = {host.root(["cat", "/etc/machine-id"]).stdout for host in (first, second)}
        assert len(machine_ids) == 2


def test_a_layer_has_no_keys_name_or_journal_of_the_host_it_was_made_on(layer: str) -> None:
    upper = layers.stack(layer)[0]

    assert (upper / "opt/rosey-bot/release").exists()
    assert not list(upper.glob("etc/ssh/ssh_host_*"))
    assert not list(upper.glob("root/.ssh/*"))
    assert not list(upper.glob("var/log/journal/*"))
    assert not [name for name in ("hostname", "hosts", "machine-id") if (upper / "etc" / name).exists()]


def test_a_copy_that_changes_changes_alone(layer: str) -> None:
    with HostSet(f"copies-{os.getpid()}") as hosts:
        first, second = hosts.up(2, layer)
        first.root(["sh", "-c", "echo v2 > /opt/rosey-bot/release"])

        assert second.root(["cat", "/opt/rosey-bot/release"]).stdout == b"v1\n"


def test_it_is_provisioned_once(layer: str) -> None:
    def again(host: Host) -> None:
        raise AssertionError("provisioned again")

    assert ensure_layer(layer, again) == layer


def test_a_provision_that_fails_saves_nothing() -> None:
    def fails(host: Host) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        ensure_layer(f"test-{os.getpid()}-fails", fails)

    assert f"test-{os.getpid()}-fails" not in saved_layers()


def test_a_host_that_was_saved_goes_on_as_itself_and_layers_can_be_stacked(layer: str) -> None:
    name = f"{layer}-above"
    try:
        with HostSet(f"copies-{os.getpid()}") as hosts:
            (host,) = hosts.up(1, layer)
            host.root(["touch", "/opt/rosey-bot/more"])
            key = host.host_key

            host.save_layer(name)
            assert not host.on
            host.power_on()
            host.wait_ready()

            assert host.host_key == key
            assert host.root(["ls", "/opt/rosey-bot"]).stdout.split() == [b"more", b"release"]
            with pytest.raises(LayerTaken, match="saved already"):
                host.save_layer(name)
            with pytest.raises(LayerTaken, match=f"host1 of {hosts.name} stands on"):
                remove_layer(name)
            with pytest.raises(LayerTaken, match=name):
                remove_layer(layer)
    finally:
        remove_layer(name)


def test_a_small_disk_cannot_be_saved(layer: str) -> None:
    with HostSet(f"copies-{os.getpid()}") as hosts:
        (host,) = hosts.up(1, layer)
        host.disk("8M")

        with pytest.raises(HostsError, match="has a small disk"):
            host.save_layer(f"{layer}-disk")
        assert host.on


def test_an_unknown_layer_is_refused_before_anything_is_made() -> None:
    hosts = HostSet(f"copies-{os.getpid()}")

    with pytest.raises(LayerUnknown, match="No layer 'nothing' is saved"):
        hosts.up(1, "nothing")

    assert hosts.name not in HostSet.names()
