"""Unit files are part of what is activated and reverted, and root believes nothing that the deploying account says."""

import pytest

from engine.ssh.errors import LinkLost
from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, Release, plan
from tests.engine.remote.servers import ROOT, Background, Server
from tests.engine.remote.unit_releases import (
    EXTRA,
    EXTRA_FILE,
    FAST,
    PROGRAM,
    as_rosey,
    command,
    role_of,
    state,
    with_units,
)

pytestmark = pytest.mark.hosts


SOCKET = b"[Socket]\nListenStream=127.0.0.1:9998\n[Install]\nWantedBy=sockets.target\n"


@pytest.fixture
def fast() -> Release:
    return with_units("2.0", {UNIT: FAST})


@pytest.fixture
def two() -> Release:
    return with_units("2.0", {UNIT: UNIT_FILE, EXTRA: EXTRA_FILE})


def test_a_changed_unit_travels_with_its_release_and_back(running: Server, old: Release, fast: Release) -> None:
    before = state(running)
    assert running.run(fast, 2, base=old, roles=role_of(fast)).status == "succeeded"
    running.assert_runs(fast)
    assert command(running).count("--fast") == 2
    result = running.run(old, 3, base=fast)
    assert result.status == "succeeded", result
    running.assert_runs(old)
    assert "--fast" not in command(running)
    assert state(running) == before


def test_a_release_that_crashes_under_its_units_goes_with_them(running: Server, old: Release, fast: Release) -> None:
    before = state(running)
    result = running.run(fast, 2, base=old, roles=role_of(fast), config={"crash": True})
    assert result.status == "reverted", result
    running.assert_runs(old)
    assert "--fast" not in command(running)
    assert state(running) == before


def test_a_new_unit_is_enabled_and_one_that_is_gone_is_removed(running: Server, old: Release, two: Release) -> None:
    before = state(running)
    result = running.run(two, 2, base=old, roles=role_of(two))
    assert result.status == "succeeded", result
    assert running.shell(f"systemctl is-enabled {EXTRA}; systemctl is-active {EXTRA}") == "enabled\nactive"
    again = running.run(two, 3, base=two, roles=role_of(two))  # sudo for the new unit came with it
    assert again.status == "succeeded", again
    assert running.run(old, 4, base=two).status == "succeeded"
    assert (
        running.shell(f"systemctl show -p LoadState,ActiveState {EXTRA}") == "LoadState=not-found\nActiveState=inactive"
    )
    assert state(running) == before


def test_a_unit_that_a_failed_release_had_no_more_runs_again(running: Server, old: Release, two: Release) -> None:
    assert running.run(two, 2, base=old, roles=role_of(two)).status == "succeeded"
    before = state(running)
    result = running.run(old, 3, base=two, config={"crash": True})
    assert result.status == "reverted", result
    running.assert_runs(two)
    assert running.shell(f"systemctl is-enabled {EXTRA}; systemctl is-active {EXTRA}") == "enabled\nactive"
    assert state(running) == before
    assert running.run(old, 4, base=two).status == "succeeded"


def test_a_service_gets_a_socket_and_goes_back_without_one(running: Server, old: Release, two: Release) -> None:
    """systemd opens no socket whose service runs; so that ends first, and sockets start first, whatever the order."""
    opened = EXTRA.replace(".service", ".socket")
    listens = with_units("3.0", {UNIT: UNIT_FILE, EXTRA: EXTRA_FILE, opened: SOCKET})
    assert running.run(two, 2, base=old, roles=role_of(two)).status == "succeeded"
    before = state(running)
    result = running.run(listens, 3, base=two, roles=role_of(listens), config={"crash": True})
    assert result.status == "reverted", result
    assert running.shell(f"systemctl is-active {EXTRA}; systemctl show -p LoadState {opened}") == (
        "active\nLoadState=not-found"
    )
    assert state(running) == before
    result = running.run(listens, 4, base=two, roles=role_of(listens))
    assert result.status == "succeeded", result
    assert running.shell(f"systemctl is-active {EXTRA} {opened}") == "active\nactive"
    assert running.run(old, 5, base=listens).status == "succeeded"


@pytest.mark.parametrize("moment", ["activate-end", "restart-end"])
def test_a_power_cut_after_the_units_switched_brings_the_old_ones_back(
    running: Server, old: Release, fast: Release, two: Release, moment: str
) -> None:
    """Before ours start, and with what a release did not have any more."""
    assert running.run(two, 2, base=old, roles=role_of(two)).status == "succeeded"
    before = state(running)
    running.rehearse(moment, "echo held; exec sleep 600")
    run = Background(running, plan(fast, 3, base=two, roles=role_of(fast)), fast)
    run.wait_for(kind="log", stream="rehearsal", text="held")
    assert (
        running.shell(f"grep -c -- --fast /etc/systemd/system/{UNIT}; ls /etc/systemd/system/{EXTRA} | wc -l") == "1\n0"
    )
    cut_power(running)
    with pytest.raises(LinkLost):
        run.result()
    running.end_rehearsals()
    running.assert_runs(two)
    assert "--fast" not in command(running)
    running.wait(f"systemctl is-active --quiet {EXTRA}")
    assert state(running) == before
    with running.client() as client:
        assert client.recover().facts["since_boot"]["healthy"] is True
    assert running.run(old, 4, base=two).status == "succeeded"


def cut_power(server: Server) -> None:
    server.host.power_off()
    server.host.power_on()
    server.host.wait_ready()


MIXTURES = {
    "the files are there and nothing else": f"cp {ROOT}/new/{UNIT} /etc/systemd/system/",
    "it is disabled and still there": f"systemctl disable -q {EXTRA}",
    "it is gone": f"systemctl stop {EXTRA}; systemctl disable -q {EXTRA}; rm /etc/systemd/system/{EXTRA}",
    "its bounds are gone": f"rm -r /etc/systemd/system/{UNIT}.d",
}


def test_what_root_had_begun_is_ended_by_the_boot(running: Server, old: Release, two: Release) -> None:
    """The record is what a switch has settled last, so that whatever it names not is done again."""
    assert running.run(two, 2, base=old, roles=role_of(two)).status == "succeeded"
    before, record = state(running), f"/var/lib/cytube-ops/{NAME}.units"
    for said, script in MIXTURES.items():
        running.shell(
            f"mkdir -p {ROOT}/new; sed s/service.py/other.py/ {ROOT}/current/systemd/{UNIT} > {ROOT}/new/{UNIT};"
            f"{script};"
            f"""echo '{{"release": null, "units": {{}}}}' > {record}; sync"""
        )
        cut_power(running)
        running.assert_runs(two)
        running.wait(f"systemctl is-active --quiet {EXTRA}")
        assert state(running) == before, said
    running.shell(f"rm -r {ROOT}/new")
    assert running.run(old, 4, base=two).status == "succeeded"


HOSTILE = {
    "root": UNIT_FILE.replace(b"User=rosey-bot\n", b"User=root\n"),
    "a prefix": UNIT_FILE.replace(b"ExecStart=", b"ExecStartPre=+/bin/sh -c id\nExecStart="),
    "a file of root's": UNIT_FILE.replace(b"User=", b"LoadCredential=x:/etc/shadow\nUser="),
    "an account where systemd does not look": UNIT_FILE.replace(b"User=rosey-bot\n", b"") + b"[X-a]\nUser=rosey-bot\n",
    "another account": UNIT_FILE.replace(b"User=rosey-bot\n", b"User=rosey\n"),
}
PLANTED = {
    **{
        said: (f"chmod u+w $release/systemd; rm -f $release/systemd/{UNIT}; cat > $release/systemd/{UNIT}", text)
        for said, text in HOSTILE.items()
    },
    "a link": (f"rm -f $release/systemd/{UNIT}; ln -s /etc/systemd/system/ssh.service $release/systemd/{UNIT}", b""),
    "a link above": ("mv $release/systemd $release/x; ln -s x $release/systemd", b""),
    "a pipe": (f"rm -f $release/systemd/{UNIT}; mkfifo $release/systemd/{UNIT}", b""),
    "a unit of others": (
        f"""cp $release/systemd/{UNIT} $release/systemd/tea.service; chmod u+w $release; rm -f $release/deploy.toml;
        printf 'name = "{NAME}"\\n[roles.bot]\\nunits = ["systemd/tea.service"]\\n' > $release/deploy.toml""",
        b"",
    ),
    "another role": (
        f"""rm -f $release/deploy.toml;
        printf 'name = "{NAME}"\\n[roles.bot]\\nunits = ["../../../../../etc/x.service"]\\n' > $release/deploy.toml""",
        b"",
    ),
    "no description": ("rm -f $release/deploy.toml", b""),
    "a link for current": (f"ln -sfn /srv {ROOT}/current", b""),
    "a deep description": (
        'rm -f $release/deploy.toml; python3 -c \'print("a=" + "[" * 100000)\' > $release/deploy.toml',
        b"",
    ),
    "an endless one": ("rm -f $release/deploy.toml; head -c 2000000 /dev/zero > $release/deploy.toml", b""),
}


@pytest.mark.parametrize("said", PLANTED)
def test_what_the_deploying_account_plants_is_refused_and_nothing_changes(running: Server, said: str) -> None:
    script, content = PLANTED[said]
    running.shell("touch /etc/systemd/system/tea.service")
    before, release = state(running), running.shell(f"readlink -f {ROOT}/current")
    try:
        as_rosey(running, f"release={release}; {script}", content)
        done = running.host.root(
            ["runuser", "-u", "rosey", "--", "sudo", "-n", "/usr/bin/python3", "-I", "-S", "-B", PROGRAM, "take"],
            check=False,
        )
        assert done.returncode == 1, done
        assert b'{"sentence": "' in done.stdout
        assert b"Traceback" not in done.stderr
        assert state(running) == before
    finally:
        running.shell("rm /etc/systemd/system/tea.service")


def test_a_unit_that_is_planted_after_the_check_ends_in_the_old_release(
    running: Server, old: Release, fast: Release
) -> None:
    before = state(running)
    path = f"{ROOT}/releases/{fast.identifier}/systemd/{UNIT}"
    evil = HOSTILE["a prefix"].decode()
    running.rehearse("activate", f"rm -f {path}; cat > {path} <<'END'\n{evil}\nEND")
    result = running.run(fast, 2, base=old, roles=role_of(fast))
    running.end_rehearsals()
    assert (result.status, result.reason) == ("reverted", "units_refused"), result
    assert "root's rights" in result.sentence
    running.assert_runs(old)
    assert state(running) == before


def test_the_account_and_its_rights_are_roots_word(running: Server) -> None:
    shown = running.shell(f"systemctl show -p User,NoNewPrivileges,CapabilityBoundingSet,AmbientCapabilities {UNIT}")
    assert sorted(shown.splitlines()) == [
        "AmbientCapabilities=",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "User=rosey-bot",
    ]


def test_provisioning_leaves_the_units_of_what_is_live(running: Server, old: Release, fast: Release) -> None:
    before = state(running)
    running.provision(units={UNIT: FAST})
    assert state(running) == before
    running.provision()
    assert state(running) == before
