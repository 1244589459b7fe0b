"""What a unit of a release may say: everything that would give it root's rights is refused, however it is written."""

from pathlib import Path

import pytest

from engine.host.provision.debian import takes_name
from engine.host.provision.paths import Refused
from engine.host.provision.unit_bounds import drop_in
from engine.host.provision.unit_file import Unreadable, read_unit
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, accounts_of, name_faults, unit_faults
from engine.host.provision.unit_values import Around

ROOT = Path(__file__).resolve().parents[3]
TEA = Around("tea-bot", accounts_of("tea-bot", "bot"), ["tea.service", "tea.timer", "tea.socket"])
GOOD = "[Unit]\nAfter=network-online.target ssh.service\n[Service]\nUser=tea-bot\nExecStart=-/usr/bin/python3 -m tea\n"


def faults(text: str | bytes, unit: str = "tea.service", around: Around = TEA) -> list[str]:
    return [fault.wrong for fault in unit_faults(unit, text.encode() if isinstance(text, str) else text, around)]


def test_a_plain_service_is_allowed() -> None:
    assert faults(GOOD + "[Install]\nWantedBy=multi-user.target\n") == []


@pytest.mark.parametrize("path", sorted((ROOT / "systemd").iterdir()), ids=lambda path: path.name)
def test_the_units_of_this_project_are_allowed(path: Path) -> None:
    role = {"cytube-bot.service": "bot", "cytube-prometheus.service": "monitoring"}.get(path.name, "portal")
    role = "monitoring" if "alertmanager" in path.name else role
    units = [other.name for other in path.parent.iterdir()]
    around = Around("rosey-bot", accounts_of("rosey-bot", role), [*units, *BESIDE_A_RELEASE])
    assert faults(path.read_bytes(), path.name, around) == []
    assert list(name_faults(path.name, "rosey-bot")) == []


SERVICE = {
    "full rights": "ExecStartPre=+/bin/sh -c id",
    "full rights behind others": "ExecStartPre=-@:+/bin/sh sh",
    "rights but for the account": "ExecStopPost=!/bin/id",
    "the same twice": "ExecReload=!!/bin/id",
    "a shell's prefix": "ExecStart=|/bin/id",
    "in quotes": 'ExecStart="+/bin/sh"',
    "in escapes": r'ExecStart="\x2b/bin/sh"',
    "an escape before it": r"ExecStart=\x2b/bin/sh",
    "by a specifier": "ExecStart=%i/bin/sh",
    "as a second command": "ExecStartPre=/bin/true ; +/bin/sh -c id",
    "as a second command behind tabs": "ExecStartPre=/bin/true\t;\t+/bin/sh",
    "on a continued line": "ExecStartPre=\\\n  +/bin/sh",
    "on a continued line behind a comment": "ExecStartPre=\\\n# harmless\n  +/bin/sh",
    "at the end of the file": "ExecStartPre=+/bin/sh \\",
    "at the end of the file behind a comment": "ExecStartPre=+/bin/sh \\\n# x",
    "with blanks": "  ExecStartPre \t = \t +/bin/sh",
    "behind a carriage return": "Environment=A=1\rExecStartPre=+/bin/sh",
    "in a second section": "[Unit]\nDescription=x\n[Service]\nExecStartPre=+/bin/sh",
    "root": "User=root",
    "two accounts": "User=tea-bot tea-bot",
    "root by number": "User=0",
    "nobody at the end": "User=",
    "the deploying account": "User=rosey",
    "the portal's account": "User=rosey-portal",
    "a specifier": "User=%u",
    "a group": "Group=docker",
    "more groups": "SupplementaryGroups=tea-bot shadow",
    "no dynamic user after all": "DynamicUser=no",
    "capabilities": "AmbientCapabilities=CAP_SYS_ADMIN",
    "capabilities kept": "CapabilityBoundingSet=CAP_DAC_OVERRIDE",
    "the account for the main process alone": "PermissionsStartOnly=yes",
    "another root": "RootDirectory=/opt/tea-bot/shared/data",
    "an image": "RootImage=/opt/tea-bot/shared/data/x",
    "a mount over shadow": "BindReadOnlyPaths=/opt/tea-bot/shared/data/shadow:/etc/shadow",
    "an empty /etc": "TemporaryFileSystem=/etc:mode=777",
    "root's environment": "EnvironmentFile=/etc/default/secret",
    "out of the tree": "EnvironmentFile=/opt/tea-bot/current/../../../etc/shadow",
    "all of it": "EnvironmentFile=/opt/tea-bot/current/*",
    "where the application writes": "EnvironmentFile=-/opt/tea-bot/shared/data/env",
    "another's tree": "EnvironmentFile=/opt/tea-bot-2/current/.release",
    "root's secret": "LoadCredential=x:/etc/shadow",
    "the host's credential": "LoadCredential=x",
    "a secret where the application writes": "LoadCredential=x:/opt/tea-bot/shared/data/x",
    "an encrypted one": "LoadCredentialEncrypted=x:/etc/credstore/x",
    "output into a file": "StandardOutput=append:/etc/cron.d/x",
    "errors into a file": "StandardError=file:/opt/tea-bot/shared/data/x",
    "input from a file": "StandardInput=file:/etc/shadow",
    "a terminal": "TTYPath=/dev/tty1",
    "a directory of the system's": "StateDirectory=dpkg",
    "a directory below its own": "StateDirectory=tea-bot/x",
    "a link beside its own": "StateDirectory=tea-bot:../../etc/x",
    "a runtime directory": "RuntimeDirectory=systemd",
    "a directory of the unit's name, not of the application's": "StateDirectory=tea",
    "a directory that begins as the unit does": "CacheDirectory=tea-cache",
    "a directory that begins as the application does": "LogsDirectory=tea-botany",
    "the portal's directory": "StateDirectory=rosey-portal",
    "the directory of its watchers": "StateDirectory=cytube-prometheus",
    "a directory in /etc": "ConfigurationDirectory=tea-bot",
    "whether root has a key": "[Unit]\nConditionPathExists=/root/.ssh/id_rsa",
    "whether root has none": "[Unit]\nAssertPathExists=|!/root/.ssh/id_rsa",
    "which keys root has": "[Unit]\nConditionPathExistsGlob=/root/.ssh/i*",
    "what is outside of the tree": "[Unit]\nConditionFileNotEmpty=/opt/tea-bot/../../root/x",
    "what another has": "[Unit]\nConditionDirectoryNotEmpty=/opt/tea-bot-2/shared",
    "what the portal has": "[Unit]\nConditionPathExists=/etc/tea-bot/portal.env",
    "a disk of others": "[Unit]\nRequiresMountsFor=/home",
    "a pid file": "PIDFile=/run/sshd.pid",
    "a session": "PAMName=login",
    "a namespace": "NetworkNamespacePath=/proc/1/ns/net",
    "real time": "CPUSchedulingPolicy=fifo",
    "before others": "Nice=-10",
    "never killed": "OOMScoreAdjust=-1000",
    "a reboot": "FailureAction=reboot-force",
    "cgroups": "Delegate=yes",
    "a slice below others'": "Slice=system-ssh.slice",
    "what systemd does not know yet": "GrantEverything=yes",
}


@pytest.mark.parametrize("case", SERVICE)
def test_what_would_give_a_service_more_is_refused(case: str) -> None:
    assert faults(GOOD + SERVICE[case]), SERVICE[case]


OTHERS = {
    "a service without an account": ("tea.service", "[Service]\nExecStart=/bin/true\n"),
    "an account in another section": ("tea.service", "[Unit]\nUser=tea-bot\n[Service]\nExecStart=/bin/true\n"),
    "an account where systemd does not look": ("tea.service", "[Service]\nExecStart=/bin/true\n[X-a]\nUser=tea-bot\n"),
    "the same before it": ("tea.service", "[X-Service]\nUser=tea-bot\n[Service]\nExecStart=/bin/true\n"),
    "an account made where systemd does not look": ("tea.service", "[X-]\nDynamicUser=yes\n[Service]\nType=simple\n"),
    "a section continued": ("tea.service", "[Service]\nExecStart=/bin/true\n[X-\\\n# x\na]\nUser=tea-bot\n"),
    "a section with blanks": ("tea.service", " [X-a] \r\n[Service]\rType=simple\r[X-a]\t\nUser=tea-bot\n"),
    "the account of a section in small letters": ("tea.service", "[Service]\nType=simple\n[service]\nUser=tea-bot\n"),
    "the account of a section with blanks": ("tea.service", "[Service]\nType=simple\n[ Service ]\nUser=tea-bot\n"),
    "an account in small letters": ("tea.service", "[Service]\nType=simple\nuser=tea-bot\n"),
    "an account for others": ("tea.service", "[Service]\nType=simple\nX-User=tea-bot\n"),
    "an account in a comment": ("tea.service", "[Service]\nEnvironment=A=1 \\\n;User=tea-bot\n"),
    "an account in another value": ("tea.service", "[Service]\nEnvironment=A=1 \\\nUser=tea-bot\n"),
    "an account taken back": ("tea.service", GOOD + "[Service]\nUser=\n"),
    "an account of Install's": ("tea.service", "[Service]\nType=simple\n[Install]\nUser=tea-bot\n"),
    "a name behind a comment that is none": ("tea.service", "\ufeff# x \\\n" + GOOD),
    "root's account made": ("root.service", "[Service]\nDynamicUser=yes\nExecStart=/bin/true\n"),
    "an account of Debian's made": ("www-data.service", "[Service]\nDynamicUser=yes\nExecStart=/bin/true\n"),
    "no section": ("tea.service", "User=tea-bot\n" + GOOD),
    "a section of another type": ("tea.service", GOOD + "[Socket]\nListenStream=9999\n"),
    "an alias": ("tea.service", GOOD + "[Install]\nAlias=ssh.service\n"),
    "required by ssh": ("tea.service", GOOD + "[Install]\nRequiredBy=ssh.service\n"),
    "wanted by ssh": ("tea.service", GOOD + "[Install]\nWantedBy=ssh.service\n"),
    "with others": ("tea.service", GOOD + "[Install]\nAlso=ssh.service\n"),
    "instead of ssh": ("tea.service", "[Unit]\nConflicts=ssh.service\n" + GOOD),
    "before ssh": ("tea.service", "[Unit]\nBefore=ssh.service\n" + GOOD),
    "starting a shell": ("tea.service", "[Unit]\nWants=debug-shell.service\n" + GOOD),
    "switching off": ("tea.service", "[Unit]\nOnFailure=poweroff.target\n" + GOOD),
    "rebooting": ("tea.service", "[Unit]\nStartLimitAction=reboot\n" + GOOD),
    "early at boot": ("tea.service", "[Unit]\nDefaultDependencies=no\n" + GOOD),
    "a command of a socket": ("tea.socket", "[Socket]\nListenStream=9000\nExecStartPre=/bin/sh -c id\n"),
    "a link of a socket": ("tea.socket", "[Socket]\nListenStream=9000\nSymlinks=/etc/cron.d/x\n"),
    "a socket in /etc": ("tea.socket", "[Socket]\nListenStream=/etc/x\n"),
    "a socket in a writable directory": ("tea.socket", "[Socket]\nListenStream=/run/tea-bot/x\n"),
    "a socket of the unit's name": ("tea.socket", "[Socket]\nListenStream=/run/tea.sock\n"),
    "a file of the system's": ("utmp.socket", "[Socket]\nListenStream=/run/utmp\nService=tea.service\n"),
    "a name without a file": ("tea.socket", "[Socket]\nListenStream=@tea\n"),
    "what root has, watched": ("tea.path", "[Path]\nPathExists=/root/.ssh/id_rsa\n"),
    "what root has, by a pattern": ("tea.path", "[Path]\nPathExistsGlob=/root/*\n"),
    "what root changes": ("tea.path", "[Path]\nPathModified=/etc/shadow\n"),
    "a pipe": ("tea.socket", "[Socket]\nListenFIFO=/run/tea-bot\n"),
    "ssh's port": ("tea.socket", "[Socket]\nListenStream=22\n"),
    "a socket of ssh's": ("tea.socket", "[Socket]\nListenStream=9000\nService=ssh.service\n"),
    "a timer of ssh's": ("tea.timer", "[Timer]\nOnBootSec=1\nUnit=systemd-poweroff.service\n"),
    "a socket of its namesake": ("xy.socket", "[Socket]\nListenStream=9000\n[X-a]\nService=tea.service\n"),
    "a socket with a timer's word": ("xy.socket", "[Socket]\nListenStream=9000\n[X-Timer]\nUnit=tea.service\n"),
    "a socket of no service": ("xy.socket", "[Socket]\nListenStream=9000\nService=tea.timer\n"),
    "a timer of its namesake": ("xy.timer", "[Timer]\nOnBootSec=1\n[X-a]\nUnit=tea.service\n"),
    "a path of its namesake": ("xy.path", "[X-a]\nUnit=tea.service\n[Path]\nPathExists=/opt/tea-bot/x\n"),
    "a timer of itself": ("tea.timer", "[Timer]\nOnBootSec=1\nUnit=tea.timer\n"),
    "a timer of nothing, so of its namesake": ("poweroff.timer", "[Timer]\nOnBootSec=1\n"),
    "a timer that takes its unit back": ("tea.timer", "[Timer]\nOnBootSec=1\nUnit=tea.service\nUnit=\n"),
    "a directory made": ("tea.path", "[Path]\nPathExists=/opt/tea-bot/x\nMakeDirectory=yes\nUnit=tea.service\n"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_would_touch_other_units_is_refused(case: str) -> None:
    unit, text = OTHERS[case]
    assert faults(text, unit), text


OWN = {
    "tea.service": GOOD + "StateDirectory=tea-bot tea-bot-mail\nRuntimeDirectory=tea-bot\n[Unit]\n"
    "ConditionPathExists=/opt/tea-bot/current\nConditionPathExists=|!/opt/tea-bot/shared/data/stop\n"
    "AssertFileNotEmpty=/var/lib/tea-bot-mail/x\nConditionPathExists=\n"
    "RequiresMountsFor=/opt/tea-bot /opt/tea-bot/shared/data\n",
    "tea.socket": "[Socket]\nListenStream=/run/tea-bot.sock\nListenStream=%t/tea-bot-web.sock\nListenStream=@tea-bot\n",
    "tea.timer": "[Timer]\nOnBootSec=1\n",
    "tea.path": "[Path]\nPathChanged=/opt/tea-bot/shared/data/in/\nUnit=tea.service\n",
}


@pytest.mark.parametrize("unit", OWN)
def test_what_is_the_applications_own_is_allowed(unit: str) -> None:
    assert faults(OWN[unit], unit) == []


def test_a_socket_of_an_earlier_rule_is_told_what_to_say_instead() -> None:
    said = [fault.hint for fault in unit_faults("tea.socket", b"[Socket]\nListenStream=/run/tea.sock\n", TEA)]
    assert said == ["A port from 1024 on, with or without an address, or /run/tea-bot.sock, or /run/tea-bot-….sock."]


def test_what_systemd_leaves_to_others_is_allowed_and_counts_for_nothing() -> None:
    text = GOOD + "X-Owner=me\n[X-Notes]\nUser=root\nAnything=+\n[Service]\nType=simple\n"
    assert faults(text) == []
    assert [line.key for line in read_unit(text.encode())] == ["After", "User", "ExecStart", "Type"]


@pytest.mark.parametrize(
    "content", [GOOD.encode() + b"\0", b"\xff\xfe", GOOD.encode() + b"A=\x1b[2J", GOOD.encode() + "A=\u202e".encode()]
)
def test_what_a_person_would_read_otherwise_is_refused(content: bytes) -> None:
    assert faults(content)


def test_it_is_read_as_systemd_reads_it() -> None:
    text = "\ufeff[A]\r\n ; comment\nkey = one \\\n# between\n\t two\\\n\nother=x \\\\\nlast=\\"
    read = [(line.section, line.key, line.value) for line in read_unit(text.encode())]
    assert read == [("A", "key", "one  two"), ("A", "other", "x \\\\"), ("A", "last", "")]
    for wrong in ("[A", "[A]\nword", "key=x"):
        with pytest.raises(Unreadable):
            read_unit(wrong.encode())


@pytest.mark.parametrize(
    "unit",
    ["ssh.service", "sshd.socket", "cron.timer", "systemd-journald.service", "multi-user.target", "tea@.service",
     "tea@1.service", "tea-bot-recover.service", "tea-bot-firewall.service",
     "tea-bot-one-off.service", "dice-bot-one-off.service", "dbus-org.x.service", "a b.service"],
)  # fmt: skip
def test_names_of_others_are_refused(unit: str) -> None:
    assert list(name_faults(unit, "tea-bot"))


@pytest.mark.parametrize("unit", ["dpkg-.service", "ledger-.socket", "apt-.timer", "a--.path", "tea-bot-.target"])
def test_a_unit_beside_which_a_drop_in_is_one_of_others_is_refused(unit: str) -> None:
    assert ["ends in a dash" in fault.wrong for fault in name_faults(unit, "tea-bot")] == [True]
    with pytest.raises(Refused, match="ends in a dash"):
        drop_in("tea-bot", unit, GOOD.encode())


@pytest.mark.parametrize("unit", ["tea-1.service", "tea-.x.service", "tea-bot.worker.timer"])
def test_a_drop_in_beside_any_other_unit_is_its_own(unit: str) -> None:
    assert list(name_faults(unit, "tea-bot")) == []


@pytest.mark.parametrize("kind", ["slice", "mount", "automount", "swap", "device", "scope"])
def test_types_of_units_whose_names_say_what_they_touch_are_refused(kind: str) -> None:
    assert list(name_faults(f"tea-bot.{kind}", "tea-bot"))


@pytest.mark.parametrize("name", ["root", "rosey", "rosey-portal", "www-data", "sudo", "ssh", "filter", "systemd-x"])
def test_an_application_takes_nobodys_name(name: str) -> None:
    assert takes_name(name)
    assert not takes_name("tea-bot")


@pytest.mark.parametrize(("role", "account", "allowed"), [
    ("bot", "tea-bot", True), ("portal", "rosey-portal", True), ("monitoring", "rosey-watch", True),
    ("bot", "rosey-portal", False), ("bot", "rosey-watch", False), ("monitoring", "rosey-portal", False),
])  # fmt: skip
def test_a_role_runs_as_the_accounts_that_are_made_for_it(role: str, account: str, allowed: bool) -> None:
    around = TEA._replace(accounts=accounts_of("tea-bot", role))
    assert (faults(GOOD.replace("User=tea-bot", f"User={account}"), around=around) == []) is allowed
