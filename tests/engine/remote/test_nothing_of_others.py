"""What has one of our names on a server and is not ours is refused by name, before anything has changed."""

from collections.abc import Iterator

import pytest

from engine.commands import decommissioning, provisioning
from engine.commands.decommissioning import Removal
from engine.commands.role_setup import pack_for
from engine.remote import provision
from engine.remote.errors import ProvisionFailed
from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts

RECORD = f"/var/lib/cytube-ops/{NAME}.json"
STATE = (
    "cat /etc/passwd /etc/group /etc/shadow; ls -lR /etc /opt /home /srv 2>&1; nft list ruleset;"
    " ls -R /var/lib/cytube-ops"
)
TEA = {"tea.service": UNIT_FILE.replace(b"rosey-bot", b"tea-bot")}

THEIRS = {
    "an account": ("useradd -m -s /bin/bash tea-bot", "userdel -r tea-bot", "account tea-bot"),
    "a group": ("groupadd tea-bot", "groupdel tea-bot", "group tea-bot"),
    "a directory": ("mkdir /opt/tea-bot", "rmdir /opt/tea-bot", "/opt/tea-bot"),
    "a link": ("ln -s /srv /opt/tea-bot", "rm /opt/tea-bot", "/opt/tea-bot"),
    "a unit file": ("touch /etc/systemd/system/tea.service", "rm /etc/systemd/system/tea.service", "tea.service"),
    "an alias of a unit": (
        "printf '[Install]\\nAlias=tea.service\\n' > /etc/systemd/system/theirs.service",
        "rm /etc/systemd/system/theirs.service",
        "tea.service",
    ),
    "a unit of a package": (
        "printf '[Unit]\\n' > /lib/systemd/system/tea.service",
        "rm /lib/systemd/system/tea.service",
        "tea.service",
    ),
    "an init script": ("touch /etc/init.d/tea", "rm /etc/init.d/tea", "tea.service"),
    "sudo rules": ("touch /etc/sudoers.d/tea-bot", "rm /etc/sudoers.d/tea-bot", "/etc/sudoers.d/tea-bot"),
    "a table": ("nft add table inet tea_bot", "nft delete table inet tea_bot", "inet tea_bot"),
}


@pytest.mark.parametrize("case", THEIRS)
def test_what_is_somebody_elses_is_refused_by_name(server: Server, case: str) -> None:
    make, unmake, named = THEIRS[case]
    server.shell(make)
    try:
        before = server.shell(STATE)
        for plan in (True, False):
            with server.bootstrap() as session, pytest.raises(ProvisionFailed, match=named) as failed:
                provision(session, operations(server), plan=plan, sudo=False)
            assert "Nothing was changed" in failed.value.hint or plan
            assert server.shell(STATE) == before
    finally:
        server.shell(unmake)


def operations(server: Server) -> list[dict[str, object]]:
    return provisioning.operations(server.setup(name="tea-bot", units=TEA))


@pytest.mark.parametrize("said", ["ExecStartPre=+/bin/sh -c id", "User=root", "StateDirectory=private"])
def test_a_unit_that_would_be_root_is_refused_by_the_server_itself(server: Server, said: str) -> None:
    before = server.shell(STATE)
    evil = UNIT_FILE.replace(b"User=rosey-bot", f"User=rosey-bot\n{said}".encode())
    with pytest.raises(ProvisionFailed, match=UNIT):
        server.provision(units={UNIT: evil})
    assert server.shell(STATE) == before


def test_a_directory_of_others_is_not_given_to_a_unit(server: Server) -> None:
    server.shell(f"mkdir /var/lib/{NAME}-mail; echo x > /var/lib/{NAME}-mail/x")
    try:
        evil = UNIT_FILE.replace(b"User=", f"StateDirectory={NAME}-mail\nUser=".encode())
        with pytest.raises(ProvisionFailed, match=f"/var/lib/{NAME}-mail is there already and belongs to root"):
            server.provision(units={UNIT: evil})
    finally:
        server.shell(f"rm -r /var/lib/{NAME}-mail")


def test_a_deploying_account_of_other_peoples_is_refused(server: Server) -> None:
    """`rosey` is a name that people have."""
    server.shell(f"mv {RECORD} /root/; mv /etc/sudoers.d/{NAME} /root/; chown root {ROOT}")
    try:
        with server.bootstrap() as session, pytest.raises(ProvisionFailed, match="account rosey is there already"):
            provision(session, operations(server), sudo=False)
    finally:
        server.shell(f"mv /root/{NAME}.json {RECORD}; mv /root/{NAME} /etc/sudoers.d/; chown rosey {ROOT}")


@pytest.fixture
def without_record(server: Server) -> Iterator[Server]:
    """As it was left by a provisioning that kept no record yet."""
    server.shell("rm -rf /var/lib/cytube-ops")
    yield server
    server.provision()


def test_a_server_provisioned_before_there_were_records_is_taken_over(without_record: Server) -> None:
    with without_record.bootstrap() as session:
        reports = provision(session, operations_of_ours(without_record), sudo=False)
    made = ["pip, compiled", "list of what provisioning put here", "program that looks at it"]
    assert [report.name for report in reports if report.state != "ok"] == made, "these lay beside the record"
    kept = without_record.shell(f"cat {RECORD}")
    for thing in ("account rosey", f"account {NAME}", f"directory {ROOT}", f"file /etc/systemd/system/{UNIT}"):
        assert f'"{thing}"' in kept
    assert without_record.shell(f"stat -c '%U %a' {RECORD} /var/lib/cytube-ops") == "root 600\nroot 755"


def operations_of_ours(server: Server) -> list[dict[str, object]]:
    return provisioning.operations(server.setup())


def test_taking_over_takes_nothing_that_was_never_ours(without_record: Server) -> None:
    without_record.shell("echo '[Unit]' > /etc/systemd/system/tea.service")
    try:
        with pytest.raises(ProvisionFailed, match=r"tea\.service"):
            without_record.provision(units={UNIT: UNIT_FILE, "tea.service": UNIT_FILE})
    finally:
        without_record.shell("rm /etc/systemd/system/tea.service")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_server_out_of_service_can_be_made_ready_again(server: Server, recorded: bool) -> None:
    removal = Removal(name=NAME, roles=["bot"], units=[UNIT], public_keys=[server.public])
    with server.bootstrap() as session:
        provision(session, decommissioning.operations(removal), sudo=False)
    if not recorded:
        server.shell("rm -rf /var/lib/cytube-ops")
    server.provision()
    with server.client() as client:
        assert client.inspect()["current"] is None


def test_decommissioning_deletes_nothing_that_is_not_ours(server: Server) -> None:
    server.shell("mkdir -p /opt/tea-bot/shared; echo x > /opt/tea-bot/shared/file; touch /etc/sudoers.d/tea-bot")
    before = server.shell(STATE)
    removal = Removal(name="tea-bot", roles=["bot"], units=["cron.service"], public_keys=[], delete_data=True)
    try:
        with server.bootstrap() as session, pytest.raises(ProvisionFailed, match="not made by provisioning"):
            provision(session, decommissioning.operations(removal), sudo=False)
        assert server.shell(STATE) == before
    finally:
        server.shell("rm -r /opt/tea-bot /etc/sudoers.d/tea-bot")


def test_a_proxy_and_watchers_that_others_run_stay_as_they_are(server: Server) -> None:
    server.shell("cp /etc/caddy/Caddyfile /root/; echo ':80 { respond hello }' > /etc/caddy/Caddyfile")
    server.shell("systemctl enable -q --now prometheus.service")
    before = server.shell(STATE)
    beside = {"cytube-backup.timer": b"[Timer]\nOnCalendar=daily\n"}
    try:
        for roles, named in ((["portal"], "/etc/caddy/Caddyfile"), (["monitoring"], "prometheus.service")):
            pack = pack_for(roles, NAME, "10.0.0.1", beside)
            with pytest.raises(ProvisionFailed, match=named):
                server.provision(extra=pack.operations, packages=pack.packages)
        assert server.shell(STATE) == before
        assert server.shell("systemctl is-active prometheus.service") == "active"
    finally:
        server.shell("mv /root/Caddyfile /etc/caddy/; systemctl disable -q --now prometheus.service")
