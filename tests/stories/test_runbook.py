"""Alerts provoked on real servers, and their sections of the runbook followed to the end while they fire.

Two servers with the bot, the portal with its workers, a CyTube-protocol server, Prometheus and Alertmanager run as in
the demo. Every command of a section is run as printed: those of the portal in a shell in its tree, the others on the
server that the alert names. Of the rules only times are short: for how long something must hold (`quick_rules`), and
how long is too long (`SHORTER`). A service that is no bot is provoked as figures (tests/monitoring/test_runbook.py).
"""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.demo.stage import Progress, everything
from sandbox.demo.watch import Watch
from sandbox.hosts import unavailable_reason
from sandbox.monitoring import missing_program
from sandbox.soak.next import NextVersion
from tests.monitoring import rules as shipped
from tests.monitoring.sections import commands, filled_in
from tests.monitoring.test_live import quick_rules
from tests.stories.runbook_cases import CASES
from tests.stories.runbook_world import SERVERS, World
from tests.stories.running import wait_for

pytestmark = [pytest.mark.hosts, pytest.mark.monitoring, pytest.mark.full]
FIRES_SECONDS = 240.0
"""The longest that a rule looks back before it fires here is two minutes (MetricsStale)."""
SHORTER = {
    "DeploymentSlow": ("running_seconds) > 300", "running_seconds) > 10"),
    "NoRecentBackup": ("> 48 * 3600", "> 90"),
    "QueueStuck": ("> 60", "> 5"),
    "WorkersSilent": ("> 300", "> 30"),
}
"""What the rules say of hours and minutes, and what they say here."""
NOT_RUNNING = 3
"""What `systemctl status` ends with for a service that does not run; it has shown what there is to see."""


def shortened(rules: Path) -> Path:
    """With the times of SHORTER."""
    for path in rules.glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for rule in (rule for group in document["groups"] for rule in group["rules"] if rule["alert"] in SHORTER):
            old, new = SHORTER[rule["alert"]]
            assert rule["expr"].count(old) == 1, rule["expr"]
            rule["expr"] = rule["expr"].replace(old, new)
        path.write_text(yaml.safe_dump(document))
    return rules


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both bots in their rooms, two releases on `test`."""
    if reason := unavailable_reason() or missing_program():
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watch, "rules", shortened(quick_rules(tmp_path_factory.mktemp("rules") / "rules")))
        with everything("runbook", port, Progress(8), bake=0) as stage:
            yield _begun(World(stage, home))


def _begun(world: World) -> World:
    """The first deployments of both environments, and a second of `test`."""
    (world.home / ".ssh").mkdir(mode=0o700)
    shutil.copy(world.stage.hosts.bootstrap_key, world.home / ".ssh/id_ed25519")
    for host in world.stage.hosts.hosts:
        host.disk("4G")
    world.manage("deploy", "test", "--reason", "first", person="operator")
    world.manage("deploy", "production", "--reason", "first", person="operator", allowed=(3,))
    world.manage("approve", "2", person="approver")
    following = NextVersion(world.stage.portal)
    following.make()
    world.newer = following.release()
    world.forward()
    wait_for(lambda: len(world.query('bot_connected{job="bots"} == 1')) == 2, "both bots in their rooms")
    return world


def test_what_no_server_here_can_have_is_left_to_figures() -> None:
    assert {rule["alert"] for rule in shipped.rules()} - set(CASES) == {"ServiceDown"}


@pytest.mark.parametrize("name", CASES)
def test_an_alert_is_provoked_and_its_section_followed_to_the_end(name: str, world: World) -> None:
    case, secret = CASES[name], world.home / "passphrase"
    secret.write_text("of the backups")
    world.forward()
    case.provoke(world)
    try:
        wait_for(lambda: world.firing(name), f"{name} to fire", deadline=FIRES_SECONDS)
        server = SERVERS[case.environment]
        for printed in (one for one in commands(name) if one.startswith(case.program)):
            line = filled_in(printed, {"E": case.environment, "S": server, "N": world.newest(), "FILE": str(secret)})
            code, told = world.follow(line, case.environment, case.stdin)
            good = {case.codes.get(line, 0), *([NOT_RUNNING] if line.startswith("systemctl status") else [])}
            assert code in good, (line, code, told[-3000:])
    finally:
        case.end(world)
    if case.over:
        wait_for(lambda: not world.firing(name), f"{name} to be over", deadline=FIRES_SECONDS)
