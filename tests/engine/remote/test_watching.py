"""Units on a real host that look well at first: watched for a time of their own, and judged by what they are."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine.remote import Result, RolePlan
from tests.engine.remote.releases import DEADLINES, UNIT, UNIT_FILE, Release, role
from tests.engine.remote.servers import Server
from tests.engine.remote.unit_releases import with_units
from tests.fixtures.hosts import HostsFactory

pytestmark = pytest.mark.hosts

SERVICE = """\
[Service]
User=rosey-bot
WorkingDirectory=/opt/rosey-bot/current
ExecStart=/usr/bin/python3 -B /opt/rosey-bot/current/{program}
{more}
[Install]
WantedBy=multi-user.target
"""
JOB = """\
[Service]
Type=oneshot
User=rosey-bot
ExecStart=/usr/bin/python3 -B /opt/rosey-bot/current/job.py
"""
TIMER = "[Timer]\nOnCalendar=hourly\nUnit=job.service\n\n[Install]\nWantedBy=timers.target\n"
SOCKET = "[Socket]\nListenStream=127.0.0.1:8050\nService=lazy.service\n\n[Install]\nWantedBy=sockets.target\n"
LAZY = """\
[Service]
User=rosey-bot
ExecStart=/usr/bin/python3 -B /opt/rosey-bot/current/lazy.py
"""
UNITS = {
    UNIT: UNIT_FILE,
    "worker.service": SERVICE.format(program="worker.py", more="Restart=always\nRestartSec=0.2").encode(),
    "plain.service": SERVICE.format(program="worker.py", more="").encode(),
    "forker.service": SERVICE.format(program="worker.py", more="Type=notify\nNotifyAccess=all").encode(),
    "kept.service": SERVICE.format(program="worker.py", more="Type=oneshot\nRemainAfterExit=yes").encode(),
    "job.service": JOB.encode(),
    "job.timer": TIMER.encode(),
    "lazy.socket": SOCKET.encode(),
    "lazy.service": LAZY.encode(),
}

WELL = "import time\ntime.sleep(3600)\n"
BAD_IMPORT = "import time\ntime.sleep(1.5)\nimport nonexistent\n"
LOOP = "import time\ntime.sleep(5)\nraise SystemExit(1)\n"
ENDS_WELL = "import time\ntime.sleep(2)\n"
KILLED = "import os, time\ntime.sleep(2)\nos.kill(os.getpid(), 9)\n"
FORKS = """\
import os, socket, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
        line.send(text.encode())
say("READY=1")
time.sleep(1)
if child := os.fork():
    say("MAINPID=%d" % child)
    time.sleep(1)
else:
    time.sleep(3600)
"""
ANSWERS_ONCE = """\
import socket
listening = socket.socket(fileno=3)
listening.settimeout(1.0)
try:
    line, _ = listening.accept()
    line.sendall(b"hello")
    line.close()
except OSError:
    pass
"""


@pytest.fixture(scope="module")
def many_units(hosts_factory: HostsFactory) -> Server:
    hosts = hosts_factory(1)
    server = Server(hosts, hosts.host(1))
    server.provision(units=UNITS)
    return server


@pytest.fixture
def server(many_units: Server) -> Iterator[Server]:
    stop = " ".join(sorted(UNITS))
    many_units.shell(f"systemctl stop {stop}; systemctl reset-failed {stop}")
    many_units.wipe()
    yield many_units
    many_units.shell(f"systemctl stop {stop}")


def units(*names: str, seconds: float = 6.0, **changes: object) -> RolePlan:
    files = {name: hashlib.sha256(UNITS[name]).hexdigest() for name in names}
    usual: dict[str, Any] = {
        "units": names,
        "unit_files": files,
        "health": None,
        "databases": [],
        "watch": dict.fromkeys(names, seconds),
    }
    return role(**{**usual, **changes})


def program(version: str, text: str, name: str = "worker.py") -> Release:
    return bringing({name: text.encode()}, version)


def bringing(programs: dict[str, bytes], version: str = "1.0") -> Release:
    """A release with these programs and all of the units, of which a role runs some."""
    made = with_units(version, UNITS)
    return Release(version, {**made.contents, **programs})


def deploy(server: Server, artifact: Release, fence: int, wanted: RolePlan) -> Result:
    return server.run(artifact, fence, roles=[wanted], deadlines={**DEADLINES, "verify": 30.0})


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("worker.service", BAD_IMPORT),
        ("worker.service", LOOP),
        ("worker.service", ENDS_WELL),
        ("worker.service", KILLED),
        ("plain.service", BAD_IMPORT),
        ("plain.service", ENDS_WELL),
        ("plain.service", KILLED),
    ],
    ids=["import", "loop", "exit-0-restarted", "killed", "import-for-good", "exit-0-for-good", "killed-for-good"],
)
def test_a_service_without_a_health_url_that_dies_soon_is_taken_back(server: Server, unit: str, text: str) -> None:
    old = program("1.0", WELL)
    assert deploy(server, old, 1, units(unit, seconds=1.0)).status == "succeeded"
    result = deploy(server, program("2.0", text), 2, units(unit))
    assert (result.status, result.facts["current"]) == ("reverted", old.identifier), result
    assert unit in result.sentence
    assert server.current == old.identifier
    assert server.shell(f"systemctl is-active {unit}") == "active"


def test_a_service_that_lasts_is_verified_with_the_time_it_was_watched(server: Server) -> None:
    began = time.monotonic()
    result = deploy(server, program("1.0", WELL), 1, units("worker.service", seconds=4.0))
    assert result.status == "succeeded", result
    assert time.monotonic() - began > 4.0
    assert "worker.service watched for 4 s, no restart" in result.facts["proof"]["watched"]


def test_a_main_process_that_hands_over_to_its_child_has_not_crashed(server: Server) -> None:
    result = deploy(server, program("1.0", FORKS), 1, units("forker.service", seconds=4.0))
    assert result.status == "succeeded", result


def test_a_job_that_is_kept_as_active_is_well_once_it_has_done_its_work(server: Server) -> None:
    assert deploy(server, program("1.0", ""), 1, units("kept.service", seconds=2.0)).status == "succeeded"
    failed = deploy(server, program("2.0", "raise SystemExit(1)"), 2, units("kept.service", seconds=2.0))
    assert failed.status == "reverted", failed


def test_a_job_and_its_timer_are_judged_by_the_jobs_last_run(server: Server) -> None:
    both = units("job.service", "job.timer", seconds=2.0)
    assert deploy(server, program("1.0", "", "job.py"), 1, both).status == "succeeded"
    failed = deploy(server, program("2.0", "raise SystemExit(4)", "job.py"), 2, both)
    assert failed.status == "reverted", failed
    assert "job.service" in failed.sentence


def test_a_service_that_its_socket_starts_may_rest(server: Server) -> None:
    both = units("lazy.socket", "lazy.service", seconds=3.0)
    result = deploy(server, program("1.0", ANSWERS_ONCE, "lazy.py"), 1, both)
    assert result.status == "succeeded", result
    assert server.shell("systemctl is-active lazy.service") == "inactive"


def test_a_service_that_its_socket_starts_and_that_crashes_is_found_though_it_was_started_again(
    server: Server,
) -> None:
    both = units("lazy.socket", "lazy.service", seconds=3.0)
    assert deploy(server, program("1.0", ANSWERS_ONCE, "lazy.py"), 1, both).status == "succeeded"
    crashing = program("2.0", "import time\ntime.sleep(1)\nraise SystemExit(3)\n", "lazy.py")
    server.shell("(for n in $(seq 200); do timeout 1 sh -c 'exec 3<>/dev/tcp/127.0.0.1/8050'; sleep 0.1; done) &")
    result = deploy(server, crashing, 2, both)
    assert result.status == "reverted", result


def verify(server: Server, artifact: Release, wanted: RolePlan) -> Result:
    with server.client() as client:
        return client.verify(artifact.identifier, artifact.version, [wanted])


def test_a_verification_tells_what_ran_lately_and_what_runs_next(server: Server) -> None:
    artifact = bringing({"worker.py": WELL.encode(), "job.py": b"", "lazy.py": ANSWERS_ONCE.encode()})
    everything = units("worker.service", "job.service", "job.timer", "lazy.socket", "lazy.service", seconds=2.0)
    assert deploy(server, artifact, 1, everything).status == "succeeded"
    result = verify(server, artifact, everything)
    assert result.status == "succeeded", result
    for words in (
        "worker.service no restart since its activation",
        "job.service ran last until",
        ": success",
        "fires next",
        "lazy.service rests until lazy.socket starts it",
    ):
        assert words in result.sentence, result.sentence


def test_a_service_that_ends_again_and_again_does_not_run_though_it_does_just_now(server: Server) -> None:
    late = program("1.0", "import time\ntime.sleep(3)\nraise SystemExit(1)\n")
    wanted = units("worker.service", seconds=1.0)
    assert deploy(server, late, 1, wanted).status == "succeeded"
    server.wait("test $(systemctl show -P NRestarts worker.service) -ge 1")
    server.wait("systemctl is-active worker.service")
    result = verify(server, late, units("worker.service"))
    assert (result.status, result.reason) == ("failed", "crash_loop"), result
    assert "restarted worker.service" in result.sentence


DROP_IN = "/etc/systemd/system/worker.service.d/o.conf"
OTHER = r"[Service]\nExecStart=\nExecStart=/bin/sleep 3600\n"


@pytest.fixture
def put_back(server: Server) -> Iterator[Server]:
    """A server on which somebody changes what systemd would run, and on which it is put right afterwards."""
    yield server
    server.shell(f"rm -rf {DROP_IN.rpartition('/')[0]} /run/systemd/system/worker.service.d; systemctl daemon-reload")
    server.shell("systemctl disable --runtime worker.service; systemctl enable worker.service")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("systemctl disable worker.service", "worker.service is disabled"),
        ("systemctl disable worker.service; systemctl enable --runtime worker.service", "is enabled-runtime"),
        (f"mkdir -p $(dirname {DROP_IN}); printf '{OTHER}' > {DROP_IN}; systemctl daemon-reload", "sets ExecStart"),
        (f"mkdir -p $(dirname {DROP_IN}); printf '{OTHER}' > {DROP_IN}", "sets ExecStart"),
        (
            "mkdir -p /run/systemd/system/worker.service.d; printf '[Service]\\nEnvironment=PYTHONPATH=/tmp\\n' "
            "> /run/systemd/system/worker.service.d/p.conf; systemctl daemon-reload",
            "sets Environment",
        ),
    ],
    ids=["disabled", "for-this-boot", "other-program", "not-read-yet", "other-environment"],
)
def test_what_would_run_later_is_part_of_a_verification(put_back: Server, script: str, words: str) -> None:
    artifact, wanted = program("1.0", WELL), units("worker.service", seconds=1.0)
    assert deploy(put_back, artifact, 1, wanted).status == "succeeded"
    put_back.shell(script)
    result = verify(put_back, artifact, wanted)
    assert (result.status, result.reason) == ("failed", "units_differ"), result
    assert words in result.sentence
    again = deploy(put_back, program("2.0", WELL), 2, wanted)
    if "able" in words:  # what runs is right: said, and no reason to refuse a way back
        assert again.status == "succeeded", again
        assert words in again.facts["proof"]["watched"]
    else:
        assert (again.status, again.reason) == ("failed", "units_differ"), again
        assert put_back.current == artifact.identifier


def test_a_drop_in_that_changes_nothing_of_the_program_is_said_and_refuses_nothing(put_back: Server) -> None:
    artifact, wanted = program("1.0", WELL), units("worker.service", seconds=1.0)
    put_back.shell(f"mkdir -p $(dirname {DROP_IN}); printf '[Service]\\nMemoryMax=1G\\n' > {DROP_IN}")
    put_back.shell("systemctl daemon-reload")
    assert deploy(put_back, artifact, 1, wanted).status == "succeeded"
    result = verify(put_back, artifact, wanted)
    assert result.status == "succeeded", result
    assert DROP_IN in result.sentence


def test_a_process_that_somebody_started_by_hand_is_not_the_unit(put_back: Server) -> None:
    artifact, wanted = program("1.0", WELL), units("worker.service", seconds=1.0)
    assert deploy(put_back, artifact, 1, wanted).status == "succeeded"
    put_back.shell("systemctl stop worker.service")
    put_back.shell(
        "setsid -f runuser -u rosey-bot -- python3 -B /opt/rosey-bot/current/worker.py >/dev/null 2>&1 </dev/null"
    )
    try:
        result = verify(put_back, artifact, wanted)
        assert (result.status, result.reason) == ("failed", "unit_not_active"), result
    finally:
        put_back.shell("pkill -u rosey-bot -f worker.py")
