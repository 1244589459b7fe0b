"""What a release brings, or an earlier version let one bring, changes no unit of others."""

import pytest

from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, Release
from tests.engine.remote.servers import Server
from tests.engine.remote.unit_releases import role_of, with_units

pytestmark = pytest.mark.hosts

UNITS = "/etc/systemd/system"
DYNAMIC = b"[Service]\nDynamicUser=yes\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def test_a_unit_with_a_dash_at_the_end_is_refused_by_the_server_itself(running: Server, old: Release) -> None:
    evil = with_units("2.0", {UNIT: UNIT_FILE, "dpkg-.service": DYNAMIC})
    result = running.run(evil, 2, base=old, roles=role_of(evil))
    assert (result.status, result.reason) == ("reverted", "units_refused"), result
    assert "dpkg-.service has a name that ends in a dash" in result.sentence
    assert "10-cytube-ops" not in running.shell("systemctl show -p DropInPaths dpkg-db-backup.service")
    running.assert_runs(old)


def test_a_drop_in_that_an_earlier_version_put_beside_units_of_others_is_named_and_goes(running: Server) -> None:
    wide, record = f"{UNITS}/dpkg-.service.d/10-cytube-ops.conf", f"/var/lib/cytube-ops/{NAME}.json"
    running.shell(
        f"mkdir {UNITS}/dpkg-.service.d; echo '[Service]' > {wide}; echo 'User={NAME}' >> {wide}\n"
        f"cat > {UNITS}/dpkg-.service <<'X'\n{DYNAMIC.decode()}X\n"
        f'sed -i \'s|^\\[|[ "file {wide}", "file {UNITS}/dpkg-.service",|\' {record}; systemctl daemon-reload'
    )
    assert running.shell("systemctl show -p User dpkg-db-backup.service") == f"User={NAME}"
    looked = running.shell(f"/usr/bin/python3 -I -S -B /var/lib/cytube-ops/{NAME}.look.py look {NAME}")
    assert f"{wide} beside units of others" in looked
    running.provision()
    assert running.shell("systemctl show -p User,DropInPaths dpkg-db-backup.service") == "User=\nDropInPaths="
    assert running.shell(f"ls -d {UNITS}/dpkg-* 2>&1 | wc -l; grep -c dpkg- {record}").split() == ["1", "0"]


LEDGER = """\
[Service]
DynamicUser=yes
StateDirectory=rosey-bot-ledger
ExecStart=/usr/bin/sleep infinity
"""
TAKER = f"[Service]\nUser={NAME}\nStateDirectory={NAME}-ledger\nExecStart=/usr/bin/sleep infinity\n".encode()
LISTENS = f"[Socket]\nListenStream=/run/{NAME}-ledger.sock\nService={UNIT}\n[Install]\nWantedBy=sockets.target\n"


def test_the_state_of_somebodys_dynamic_service_stays_its_own(running: Server, old: Release) -> None:
    running.shell(f"cat > {UNITS}/ledger.service <<'X'\n{LEDGER}X\nsystemctl daemon-reload; systemctl start ledger")
    owner = "stat -c %u:%g /var/lib/private/rosey-bot-ledger"
    before = running.shell(owner)
    try:
        taking = with_units("2.0", {UNIT: UNIT_FILE, f"{NAME}-more.service": TAKER})
        result = running.run(taking, 2, base=old, roles=role_of(taking))
        assert (result.status, result.reason) == ("reverted", "units_refused"), result
        assert f"/var/lib/{NAME}-ledger is there already and belongs to root, for some service" in result.sentence
        assert running.shell(owner) == before != ""
    finally:
        running.shell(
            f"systemctl stop ledger; rm {UNITS}/ledger.service; systemctl daemon-reload;"
            f"rm -r /var/lib/{NAME}-ledger /var/lib/private/{NAME}-ledger"
        )


def test_a_socket_of_somebodys_stays_its_own(running: Server, old: Release) -> None:
    path = f"/run/{NAME}-ledger.sock"
    running.shell(
        f"cat > {UNITS}/ledger.socket <<'X'\n[Socket]\nListenStream={path}\nAccept=yes\nX\n"
        f"printf '[Service]\\nExecStart=/bin/true\\n' > {UNITS}/ledger@.service\n"
        "systemctl daemon-reload; systemctl start ledger.socket"
    )
    before = running.shell(f"stat -c %i {path}")
    try:
        taking = with_units("2.0", {UNIT: UNIT_FILE, f"{NAME}-door.socket": LISTENS.encode()})
        result = running.run(taking, 2, base=old, roles=role_of(taking))
        assert (result.status, result.reason) == ("reverted", "units_refused"), result
        assert f"would listen on {path}, where ledger.socket does" in result.sentence
        assert running.shell(f"stat -c %i {path}; systemctl is-active ledger.socket").split() == [before, "active"]
    finally:
        running.shell(f"systemctl stop ledger.socket; rm {UNITS}/ledger* {path}; systemctl daemon-reload")


def test_what_a_release_keeps_itself_is_there_for_the_next_one_and_for_a_later_one(
    running: Server, old: Release
) -> None:
    """A directory behind a link and a socket: root put them on record, and they outlast a release without them."""
    probe = DYNAMIC.replace(b"DynamicUser=yes", f"DynamicUser=yes\nStateDirectory={NAME}-probe".encode())
    socket = LISTENS.replace("ledger", "probe").replace(UNIT, f"{NAME}-helper.service").encode()
    helper = f"[Service]\nUser={NAME}\nExecStart=/usr/bin/sleep infinity\n".encode()
    more = {f"{NAME}-probe.service": probe, f"{NAME}-door.socket": socket, f"{NAME}-helper.service": helper}
    first = with_units("2.0", {UNIT: UNIT_FILE, **more})
    later = with_units("3.0", {UNIT: UNIT_FILE, **more})
    deployed = [first, later, old, first, old]
    for number, release in enumerate(deployed, 2):
        base = deployed[number - 3] if number > 2 else old
        result = running.run(release, number, base=base, roles=role_of(release))
        assert result.status == "succeeded", result
        if release is first:
            assert running.shell(f"readlink /var/lib/{NAME}-probe; ls /run/{NAME}-probe.sock").split() == [
                f"private/{NAME}-probe",
                f"/run/{NAME}-probe.sock",
            ]
    running.shell(f"rm -rf /var/lib/{NAME}-probe /var/lib/private/{NAME}-probe /run/{NAME}-probe.sock")


def test_the_account_that_systemd_makes_for_somebodys_service_stays_its_own(running: Server, old: Release) -> None:
    running.shell(
        f"printf '[Service]\\nDynamicUser=yes\\nExecStart=/usr/bin/sleep infinity\\n' > {UNITS}/ledger@.service\n"
        "systemctl daemon-reload; systemctl start ledger@1"
    )
    try:
        taking = with_units("2.0", {UNIT: UNIT_FILE, "ledger.service": DYNAMIC})
        result = running.run(taking, 2, base=old, roles=role_of(taking))
        assert (result.status, result.reason) == ("reverted", "units_refused"), result
        assert "would run as ledger, the account that systemd makes for ledger@.service" in result.sentence
    finally:
        running.shell(f"systemctl stop ledger@1; rm {UNITS}/ledger@.service; systemctl daemon-reload")
