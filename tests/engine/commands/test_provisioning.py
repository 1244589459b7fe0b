"""What provisioning is going to do, as data: golden texts of everything that decides who may do what."""

import base64
from typing import Any

import pytest

from engine.commands.provisioning import Operation, ServerSetup, operations, unit_digests
from engine.host.agent.systemd import sudo_commands
from engine.host.provision import firewall
from engine.host.provision.__main__ import OPERATIONS
from engine.host.provision.switching import unit_commands
from engine.host.provision.unit_bounds import drop_in

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl portal"
OLD_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABBBCCCDDDEEEFFFGGGHHHIIIJJJKKKLLLMMMNNNOO earlier"


def setup(**changes: Any) -> ServerSetup:
    usual: dict[str, Any] = {
        "name": "rosey-bot",
        "units": {"cytube-bot.service": b"[Service]\nExecStart=/bin/true\n", "backup.timer": b"[Timer]\n"},
        "public_keys": [KEY],
        "retired_keys": [OLD_KEY],
        "agent": b"the agent",
        "clock": 1_700_000_000.0,
        "private_ports": [8001, 8000],
        "allowed": ["10.0.0.1", "fd00::1", "192.168.7.0/24"],
    }
    return ServerSetup(**{**usual, **changes})


def files(setup: ServerSetup) -> dict[str, Operation]:
    return {operation["path"]: operation for operation in operations(setup) if operation["op"] == "file"}


def text(operation: Operation) -> str:
    return base64.b64decode(operation["content"]).decode()


def rules(setup: ServerSetup, *sign_in: int) -> str:
    (operation,) = (operation for operation in operations(setup) if operation["op"] == "firewall")
    return firewall.rules(operation, set(sign_in or (22,)))


def test_sudo_is_a_list_of_exact_commands() -> None:
    operation = files(setup())["/etc/sudoers.d/rosey-bot"]
    assert text(operation) == (
        "# What deployments of rosey-bot need root for. Written by provision.\n"
        "Defaults:rosey !requiretty\n"
        "rosey ALL=(root) NOPASSWD: "
        "/usr/bin/python3 -I -S -B /usr/local/lib/cytube-ops/rosey-bot-units take\n"
        "rosey ALL=(root) NOPASSWD: "
        "/usr/bin/python3 -I -S -B /usr/local/lib/cytube-ops/rosey-bot-units take-when-told\n"
        "rosey ALL=(root) NOPASSWD: "
        "/usr/bin/python3 -I -S -B /usr/local/lib/cytube-ops/rosey-bot-units run\n"
        "rosey ALL=(root) NOPASSWD: "
        "/usr/bin/python3 -I -S -B /var/lib/cytube-ops/rosey-bot.look.py look rosey-bot\n"
    )
    assert (operation["mode"], operation["owner"], operation["group"]) == (0o440, "root", "root")
    assert operation["validate"] == ["visudo", "-cqf", "{}"]
    assert "*" not in text(operation)


def test_what_the_agent_may_do_with_units_is_what_root_grants_with_them() -> None:
    assert unit_commands("x.service") == [" ".join(command) for command in sudo_commands("x.service")]


def test_the_firewall_closes_our_own_private_ports_and_no_other() -> None:
    assert rules(setup()) == (
        "table inet rosey_bot\n"
        "delete table inet rosey_bot\n"
        "table inet rosey_bot {\n"
        "    chain input {\n"
        "        type filter hook input priority 0; policy accept;\n"
        '        iif "lo" accept\n'
        "        ct state established,related accept\n"
        "        ip saddr { 10.0.0.1/32, 192.168.7.0/24 } tcp dport { 8000, 8001 } accept\n"
        "        ip6 saddr { fd00::1/128 } tcp dport { 8000, 8001 } accept\n"
        "        tcp dport { 8000, 8001 } drop\n"
        "    }\n"
        "}\n"
    )


def test_a_strict_firewall_opens_the_ways_in_and_what_is_offered() -> None:
    said = rules(setup(strict=True, public_ports=[443, 80]), 22, 2222)
    assert said == (
        "table inet rosey_bot\n"
        "delete table inet rosey_bot\n"
        "table inet rosey_bot {\n"
        "    chain input {\n"
        "        type filter hook input priority 0; policy drop;\n"
        '        iif "lo" accept\n'
        "        ct state established,related accept\n"
        "        ct state invalid drop\n"
        "        meta l4proto { icmp, ipv6-icmp } accept\n"
        "        udp sport 67 udp dport 68 accept\n"
        "        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
        "        tcp dport { 22, 80, 443, 2222 } accept\n"
        "        ip saddr { 10.0.0.1/32, 192.168.7.0/24 } tcp dport { 8000, 8001 } accept\n"
        "        ip6 saddr { fd00::1/128 } tcp dport { 8000, 8001 } accept\n"
        "    }\n"
        "}\n"
    )


def test_addresses_that_lie_in_one_another_are_said_once() -> None:
    said = rules(setup(allowed=["10.0.0.0/24", "10.0.0.7", "10.0.1.0/24", "10.0.0.7/32"]))
    assert "ip saddr { 10.0.0.0/23 } tcp dport" in said


@pytest.mark.parametrize("strict", [False, True])
def test_a_port_that_is_offered_is_open_even_if_it_is_asked_for_health(strict: bool) -> None:
    said = rules(setup(strict=strict, public_ports=[8001], private_ports=[8001], allowed=[]))
    assert "saddr {" not in said
    assert ("tcp dport { 22, 8001 } accept" in said) is strict
    assert "} drop" not in said


def test_the_tree_belongs_to_the_deploying_user_and_data_to_the_application() -> None:
    rights = {
        operation["path"]: (f"{operation['mode']:o}", operation["owner"], operation["group"])
        for operation in operations(setup())
        if operation["op"] == "directory"
    }
    assert rights == {
        "/opt/rosey-bot": ("755", "rosey", "rosey"),
        "/opt/rosey-bot/releases": ("755", "rosey", "rosey"),
        "/opt/rosey-bot/envs": ("755", "rosey", "rosey"),
        "/opt/rosey-bot/shared": ("755", "rosey", "rosey"),
        "/opt/rosey-bot/shared/config": ("2750", "rosey", "rosey-bot"),
        "/opt/rosey-bot/shared/data": ("2770", "rosey-bot", "rosey-bot"),
        "/opt/rosey-bot/shared/secrets": ("700", "rosey", "rosey"),
        "/opt/rosey-bot/backups": ("700", "rosey", "rosey"),
        "/opt/rosey-bot/.deploy": ("700", "rosey", "rosey"),
        "/opt/rosey-bot/.deploy/manifests": ("700", "rosey", "rosey"),
    }


def test_a_boot_settles_before_any_of_our_units_starts() -> None:
    unit = text(files(setup())["/etc/systemd/system/rosey-bot-recover.service"])
    assert "Before=sockets.target shutdown.target rosey-bot-units.service\n" in unit
    after = drop_in("rosey-bot", "cytube-bot.service", b"[Service]\nUser=rosey-bot\n").decode()
    assert "After=rosey-bot-recover.service rosey-bot-units.service\nAfter=rosey-bot-settle.service\n" in after
    assert "User=rosey\n" in unit
    assert "ExecStart=/usr/bin/python3 -I -S /opt/rosey-bot/.deploy/agent.py recover --boot\n" in unit


def test_new_keys_are_allowed_before_old_ones_are_taken_away() -> None:
    keys = [operation for operation in operations(setup()) if operation["op"] == "authorized_key"]
    assert [(operation["key"], operation["present"]) for operation in keys] == [(KEY, True), (OLD_KEY, False)]


def test_units_are_enabled_and_started_only_where_no_release_is_needed() -> None:
    units = {
        operation["name"]: (operation["enabled"], operation["started"])
        for operation in operations(setup(started=["backup.timer"]))
        if operation["op"] == "unit"
    }
    assert units["cytube-bot.service"] == (True, None)
    assert units["backup.timer"] == (True, True)
    assert units["rosey-bot-firewall.service"] == (True, None), "the rules are loaded by the operation after it"


def test_the_digests_are_those_of_the_files_that_are_put() -> None:
    import hashlib

    wanted = setup()
    put = files(wanted)
    for name, digest in unit_digests(wanted).items():
        content = base64.b64decode(put[f"/etc/systemd/system/{name}"]["content"])
        assert hashlib.sha256(content).hexdigest() == digest


def test_every_operation_is_one_the_interpreter_knows() -> None:
    made = operations(setup(packages=["caddy"]))
    assert {operation["op"] for operation in made} <= set(OPERATIONS)
    assert all(operation["title"] for operation in made)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Rosey"},
        {"name": "../etc"},
        {"name": "rosey"},
        {"units": {"evil unit.service": b""}},
        {"units": {"a.service\nALL": b""}},
        {"public_keys": [KEY + "\nssh-ed25519 AAAA second"]},
        {"public_keys": ['command="x" ' + KEY]},
        {"allowed": ["everybody"]},
        {"allowed": ["10.0.0.1; accept"]},
    ],
)
def test_values_that_could_become_something_else_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        setup(**wrong)
