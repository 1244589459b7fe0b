"""The drop-in beside a unit: what of the unit it repeats, and which files it has systemd read instead."""

import json
from typing import Any

import pytest

from engine.host.provision import one_off
from engine.host.provision.one_off import read_request, systemd_run
from engine.host.provision.paths import Refused
from engine.host.provision.unit_bounds import drop_in, read_by_root, surroundings
from engine.host.provision.unit_checks import refuse_taken_account

UNIT = b"""\
[Service]
User=rosey-bot
User=rosey-portal
LoadCredential=gone:/opt/tea/shared/secrets/gone
LoadCredential=
LoadCredential=a:/opt/tea/shared/secrets/a
LoadCredential=mine:/etc/tea/mine
EnvironmentFile=-/opt/tea/current/.release
EnvironmentFile=-/etc/tea/portal.env
EnvironmentFile=/opt/tea/shared/config/more.env
"""


def test_what_holds_in_the_end_is_repeated_and_read_from_roots_copies() -> None:
    assert drop_in("tea", "tea.service", UNIT).decode().splitlines()[2:] == [
        "After=tea-recover.service tea-units.service",
        "After=tea-settle.service",
        "",
        "[Service]",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "RestrictSUIDSGID=yes",
        "User=rosey-portal",
        "EnvironmentFile=",
        "EnvironmentFile=-/var/lib/cytube-ops/tea/current/.release",
        "EnvironmentFile=-/etc/tea/portal.env",
        "EnvironmentFile=/var/lib/cytube-ops/tea/shared/config/more.env",
        "LoadCredential=",
        "LoadCredential=a:/var/lib/cytube-ops/tea/shared/secrets/a",
        "LoadCredential=mine:/etc/tea/mine",
    ]
    assert read_by_root("tea", UNIT) == ["current/.release", "shared/config/more.env", "shared/secrets/a"]


def test_a_unit_that_reads_nothing_of_the_tree_keeps_its_own_words() -> None:
    said = drop_in("tea", "tea.service", b"[Service]\nUser=tea\nEnvironmentFile=/etc/tea/x\n").decode()
    assert "EnvironmentFile" not in said
    assert "LoadCredential" not in said


@pytest.mark.parametrize(
    ("unit", "account"),
    [("tea-probe.service", ["DynamicUser=yes", "User=tea-probe"]), ("t.x.service", ["DynamicUser=yes"])],
)
def test_an_account_that_systemd_makes_is_roots_word_too(unit: str, account: list[str]) -> None:
    said = drop_in("tea", unit, b"[Service]\nDynamicUser=yes\nExecStart=/bin/true\n").decode().splitlines()
    assert [line for line in said if line.startswith(("User=", "DynamicUser="))] == account


NOBODY = {
    "none": "[Service]\nType=simple\n",
    "none where systemd looks": "[Service]\nType=simple\n[X-a]\nUser=tea\nDynamicUser=yes\n",
    "taken back": "[Service]\nUser=tea\nUser=\n",
    "taken back in another section of the name": "[Service]\nUser=tea\n[Unit]\n[Service]\nUser =\n",
    "root": "[Service]\nUser=tea\nUser=root\n",
    "root by number": "[Service]\nUser=0\n",
    "root's group": "[Service]\nUser=tea\nGroup=root\n",
    "the deploying account": "[Service]\nUser=rosey\n",
    "two in one": "[Service]\nUser=tea tea\n",
    "none made after all": "[Service]\nDynamicUser=yes\nDynamicUser=no\n",
    "made for others": "[Service]\nX-DynamicUser=yes\n",
}


@pytest.mark.parametrize("case", NOBODY)
def test_nothing_is_put_beside_a_service_that_runs_as_nobody_of_the_applications(case: str) -> None:
    for what in (drop_in, surroundings):
        with pytest.raises(Refused, match=r"tea\.service (has no User=|would run as)"):
            what("tea", "tea.service", NOBODY[case].encode())


def test_a_timer_is_only_ordered() -> None:
    said = drop_in("tea", "tea.timer", b"[Timer]\nOnCalendar=daily\n").decode()
    assert "[Service]" not in said
    assert "settle" not in said, "it would be a circle: timers and sockets are open before that"


def test_a_command_gets_what_its_unit_is_given_and_nothing_of_the_units_life() -> None:
    more = b"""Environment=A=1
Environment='B=2 3'
ExecStart=/usr/bin/true
ExecStartPre=/usr/bin/true
Restart=always
RuntimeDirectory=tea
Type=notify
WatchdogSec=5
MemoryMax=1G
ProtectSystem=strict
UMask=0007
"""
    assert surroundings("tea", "tea.service", UNIT + more) == [
        "User=rosey-portal",
        "EnvironmentFile=-/var/lib/cytube-ops/tea/current/.release",
        "EnvironmentFile=-/etc/tea/portal.env",
        "EnvironmentFile=/var/lib/cytube-ops/tea/shared/config/more.env",
        "LoadCredential=a:/var/lib/cytube-ops/tea/shared/secrets/a",
        "LoadCredential=mine:/etc/tea/mine",
        "Environment=A=1",
        "Environment='B=2 3'",
        "MemoryMax=1G",
        "ProtectSystem=strict",
        "UMask=0007",
    ]


def test_a_dynamic_account_is_the_units_own() -> None:
    assert "User=tea" in surroundings("tea", "tea.service", b"[Service]\nDynamicUser=yes\n")


def test_systemd_makes_no_account_where_one_has_the_name() -> None:
    made = b"[Service]\nDynamicUser=yes\n"
    refuse_taken_account("tea-nobody-has-this.service", made, ["tea"])
    refuse_taken_account("root.service", made + b"User=tea\n", ["tea"])
    refuse_taken_account("nobody.service", made, ["nobody"])
    for unit in ("root.service", "nobody.service", "daemon.service"):
        with pytest.raises(Refused, match="an account of this server"):
            refuse_taken_account(unit, made, ["tea"])


ASKED = {"argv": ["id"], "unit": "", "role": "bot", "directory": "current", "seconds": 5}


@pytest.mark.parametrize(
    "changes",
    [
        {"directory": "releases/../../etc"},
        {"directory": "/etc"},
        {"directory": "releases/a\nUser=root"},
        {"role": "bot/../x"},
        {"role": "bot -p"},
        {"seconds": 0},
        {"seconds": "soon"},
        {"argv": None},
        {"argv": ["a\0b"]},
    ],
)
def test_root_runs_nothing_for_who_asks_for_more_than_a_command(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_request(json.dumps({**ASKED, **changes}).encode())


@pytest.mark.parametrize(
    "line",
    [
        b'{"input":1e999}', b'{"input":-1e999}', b'{"input":NaN}', b'{"seconds":1%s}' % (b"0" * 400),
        b'{"seconds":NaN}', b'{"argv":["\\ud800"]}', b"[" * 60_000, b'{"argv":' * 8_000, b"5", b"null", b"[]", b'"x"',
        b"", b"\xff", b"{}",
    ],
    ids=lambda line: line[:20],
)  # fmt: skip
def test_a_request_that_cannot_be_read_is_refused_with_a_sentence(line: bytes) -> None:
    if line.endswith(b"}") and line != b"{}":
        line = json.dumps(ASKED).encode()[:-1] + b"," + line[1:]
    with pytest.raises(Refused, match="The request for a command"):
        read_request(line)


@pytest.mark.parametrize("case", [*NOBODY, "made, with a name that is taken", "the portal's, for a bot"])
def test_root_runs_nothing_in_surroundings_without_the_roles_account(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {
        "made, with a name that is taken": "[Service]\nDynamicUser=yes\n",
        "the portal's, for a bot": "[Service]\nUser=rosey-portal\n",
    }
    unit = "daemon.service" if case in more else "tea.service"
    monkeypatch.setattr("engine.host.provision.one_off.record", lambda name: {"units": {unit: ""}})
    content = {**NOBODY, **more}[case].encode()
    monkeypatch.setattr("engine.host.provision.one_off.roots_own", lambda path: content)
    asked = read_request(json.dumps({**ASKED, "unit": unit, "directory": "releases/1"}).encode())
    with pytest.raises(Refused):
        systemd_run("tea", asked)


@pytest.mark.parametrize("given", [[], ["User="], ["User=root"], ["User=tea", "User=tea"], ["User=tea", "User="]])
def test_a_command_without_exactly_one_account_is_not_run(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.host.provision.one_off._of_unit", lambda *_: given)
    with pytest.raises(Refused, match="no account of the bot of tea"):
        systemd_run("tea", read_request(json.dumps({**ASKED, "unit": "tea.service"}).encode()))


def test_whatever_is_asked_for_is_run_with_no_more_than_the_accounts_rights() -> None:
    asked = read_request(json.dumps({**ASKED, "argv": ["-p", "User=root", "$HOME"]}).encode())
    line = systemd_run("tea", asked)
    own, words = line[: line.index("--")], line[line.index("--") :]
    assert words == ["--", "/usr/bin/env", "--", "-p", "User=root", "$$HOME"]
    assert [word for word in own if word.startswith(("User=", "Group="))] == ["User=tea", "Group=tea"]
    assert {"NoNewPrivileges=yes", "CapabilityBoundingSet=", "AmbientCapabilities="} <= set(own)


def test_a_command_of_a_release_that_is_not_live_is_told_nothing_of_the_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = (
        b"[Service]\nUser=tea\nEnvironmentFile=/opt/tea/current/.release\nEnvironmentFile=-/opt/tea/current/.release\n"
        b"EnvironmentFile=/opt/tea/current/more\nLoadCredential=x:/opt/tea/shared/secrets/x\n"
    )
    monkeypatch.setattr(one_off, "record", lambda name: {"units": {"tea.service": ""}})
    monkeypatch.setattr(one_off, "roots_own", lambda path: content)
    held: list[bytes] = []
    monkeypatch.setattr(one_off, "hold_missing", lambda name, content: held.append(content))
    asked = {**ASKED, "unit": "tea.service"}
    live = systemd_run("tea", read_request(json.dumps(asked).encode()))
    assert not held
    hook = systemd_run("tea", read_request(json.dumps({**asked, "directory": "releases/2"}).encode()))
    assert held == [content]
    files = [[word for word in line if word.startswith("EnvironmentFile=")] for line in (live, hook)]
    copies = "/var/lib/cytube-ops/tea/current/"
    more = f"EnvironmentFile={copies}more"
    assert files == [[f"EnvironmentFile={copies}.release", f"EnvironmentFile=-{copies}.release", more], [more]]
    assert "LoadCredential=x:/var/lib/cytube-ops/tea/shared/secrets/x" in hook


@pytest.mark.parametrize("account", ["rosey-portal", "rosey-watch", "tea"])
def test_a_command_gets_the_surroundings_of_the_applications_own_account_alone(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f"[Service]\nUser=root\nUser={account}\nEnvironmentFile=/etc/tea/portal.env\n".encode()
    monkeypatch.setattr(one_off, "record", lambda name: {"units": {"w.service": ""}})
    monkeypatch.setattr(one_off, "roots_own", lambda path: content)
    role = {"rosey-portal": "portal", "rosey-watch": "monitoring"}.get(account, "bot")
    hook, dump = (
        {"unit": "w.service", "role": role, **more} for more in ({"directory": "releases/1"}, {"apart": True})
    )
    assert f"User={account}" in systemd_run("tea", read_request(json.dumps({**ASKED, **dump}).encode()))
    for asked in (hook, {"unit": "w.service"}):
        request = read_request(json.dumps({**ASKED, **asked}).encode())
        if account == "tea":
            assert "User=tea" in systemd_run("tea", request)
            continue
        with pytest.raises(Refused, match="no command is given its keys"):
            systemd_run("tea", request)
