"""What systemd reads as root for a unit is root's own: no link of the deploying account's gives anything away."""

from collections.abc import Iterator

import pytest

from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, Release
from tests.engine.remote.servers import ROOT, Server
from tests.engine.remote.unit_releases import PROGRAM, as_rosey, role_of, with_units

pytestmark = pytest.mark.hosts

READS = UNIT_FILE.replace(
    b"User=rosey-bot\n",
    b"User=rosey-bot\nLoadCredential=x:/opt/rosey-bot/shared/secrets/x\nSetCredential=x:none\n"
    b"EnvironmentFile=-/opt/rosey-bot/shared/config/more.env\n",
).replace(b"ExecStart=", b"ExecStartPre=/bin/sh -c 'cat $CREDENTIALS_DIRECTORY/x; env'\nExecStart=")


@pytest.fixture
def reading(running: Server, old: Release) -> Iterator[Server]:
    """A unit that reads a secret and an environment file, and says so; and a file that only root may read."""
    running.shell("echo 'ONLY=precious' > /root/only; chmod 600 /root/only")
    with running.client() as client:
        assert client.secret("x", 1, b"delivered").status == "succeeded"
    wanted = with_units("2.0", {UNIT: READS})
    result = running.run(wanted, 2, base=old, roles=role_of(wanted))
    assert result.status == "succeeded", result
    yield running
    running.run(old, 9, base=wanted)


def said_since(server: Server, script: str) -> str:
    server.shell(
        "journalctl --rotate; journalctl --vacuum-time=1s; sleep 1.1; journalctl --rotate; journalctl --vacuum-time=1s"
    )
    server.shell(script)
    server.shell(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}")
    return server.shell(f"journalctl -q -o cat -u {UNIT}")


def test_a_secret_reaches_its_unit_by_a_copy_of_roots(reading: Server) -> None:
    assert "delivered" in said_since(reading, "true")
    with reading.client() as client:
        assert client.secret("x", 2, b"anew").status == "succeeded"
    assert "anew" in said_since(reading, "true")
    assert reading.shell(f"stat -c '%U %a' /var/lib/cytube-ops/{NAME}/shared/secrets/x") == "root 600"
    assert "RELEASE_ID=2.0-" in said_since(reading, "true")


def test_without_roots_drop_in_a_link_would_be_followed(reading: Server) -> None:
    """That there is something to close: systemd itself opens what a unit names as root."""
    drop_in = f"/etc/systemd/system/{UNIT}.d/10-cytube-ops.conf"
    try:
        as_rosey(reading, f"ln -sf /root/only {ROOT}/shared/secrets/x")
        taken_away = f"mv {drop_in} /root/kept; systemctl daemon-reload"
        assert "precious" in said_since(reading, taken_away)
    finally:
        reading.shell(f"rm -f {ROOT}/shared/secrets/x; mv /root/kept {drop_in}; systemctl daemon-reload")


@pytest.mark.parametrize("path", ["secrets/x", "secrets", "config/more.env"])
def test_a_link_in_place_of_what_systemd_reads_gives_nothing_of_roots_away(reading: Server, path: str) -> None:
    plant = {
        "secrets/x": f"ln -sf /root/only {ROOT}/shared/secrets/x",
        "secrets": f"mkdir /home/rosey/s; ln -s /root/only /home/rosey/s/x; mv {ROOT}/shared/secrets {ROOT}/shared/s;"
        f"ln -s /home/rosey/s {ROOT}/shared/secrets",
        "config/more.env": f"ln -s /root/only {ROOT}/shared/config/more.env",
    }
    try:
        as_rosey(reading, plant[path])
        assert "precious" not in said_since(reading, "true")
        as_rosey(reading, f"sudo -n /usr/bin/python3 -I -S -B {PROGRAM} take")
        assert "precious" not in said_since(reading, "true")
    finally:
        reading.shell(
            f"[ -d {ROOT}/shared/s ] && rm {ROOT}/shared/secrets && mv {ROOT}/shared/s {ROOT}/shared/secrets;"
            f"rm -rf /home/rosey/s {ROOT}/shared/config/more.env {ROOT}/shared/secrets/x"
        )
