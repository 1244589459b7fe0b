"""How each alert of the rules is provoked on real servers, and what ends it beside the commands of its section."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.cytube.config import SANDBOX_PASSWORD
from sandbox.cytube.viewer import Viewer
from sandbox.demo.room import CHANNELS
from sandbox.load.moderator import NAME
from sandbox.soak.next import children, command_line
from sandbox.soak.rooms import BOTS
from tests.stories.runbook_releases import SPOILED, another, grow_beyond_its_limit
from tests.stories.runbook_world import ROOT_OF_BOT, UNIT, World
from tests.stories.running import GO, go_on, no_rehearsals, rehearse, wait_for


@dataclass(frozen=True)
class Case:
    """How an alert is provoked, and what ends it beside the commands; `over` where its rule looks back for longer.

    `program` narrows the commands to those that begin so.
    """

    provoke: Callable[[World], object]
    end: Callable[[World], object] = lambda world: None
    environment: str = "test"
    stdin: str = ""
    codes: dict[str, int] = field(default_factory=dict)
    over: bool = True
    program: str = ""


def stop_the_bot(world: World) -> None:
    world.root(f"systemctl stop {UNIT}")


def give_the_wrong_password(world: World) -> None:
    world.manage("set_secret", "production", "cytube-password", stdin="not it\n")
    world.manage("restart", "production", "--reason", "provoked", allowed=(1,))


def restart_production(world: World) -> None:
    world.manage("restart", "production", "--reason", "as the runbook says")


def kill_it_again_and_again(world: World) -> None:
    """As often as a bot that crashes, each start seen by Prometheus."""
    query = 'process_start_time_seconds{job="bots", server="test-1"}'
    for _ in range(5):
        before = world.query(query)[0]["value"][1]
        world.root(f"systemctl reset-failed {UNIT}; systemctl kill --signal=KILL {UNIT}")

        def another(before: str = before) -> bool:
            found = world.query(query)
            return bool(found) and found[0]["value"][1] != before

        wait_for(another, "the next start in Prometheus")


def somebody_comes(world: World) -> None:
    world.stage.cytube.ask(lambda server: server.crowd("rosey").enter("alice"))


def revoke_its_token(world: World) -> None:
    code = "from deployments.models import ApiToken as T; T.objects.filter(server__name='test-1').delete()"
    world.manage("shell", "--command", code)


def deploy_what_does_not_start(world: World) -> None:
    release = another(world, "spoiled", lambda text: SPOILED + text)
    said = ("--release", release, "--reason", "provoked", "--again")
    world.manage("deploy", "test", *said, person="operator", allowed=(1, 5))


def go_back(world: World) -> None:
    world.manage("rollback", "test", "--reason", "provoked", person="operator")


def go_back_three_times(world: World) -> None:
    for _ in range(3):
        world.forward()
        go_back(world)


def lock(world: World) -> None:
    world.manage("lock", "test", "--reason", "until the cause is known")
    world.manage("unlock", "test", "--reason", "mended")


def edit_a_unit(world: World) -> None:
    world.root(f"echo '# edited' >> /etc/systemd/system/{UNIT}")
    world.manage("drift", "test", allowed=(1,))


def look_again(world: World) -> None:
    world.manage("drift", "test")


def fill_the_disk(world: World) -> None:
    world.host().disk("400M")
    world.root("head -c 390M /dev/zero > /opt/rosey-bot/shared/data/forgotten || true")


def empty_it(world: World) -> None:
    world.root("rm /opt/rosey-bot/shared/data/forgotten")
    world.host().disk_off()


def stop_the_portal(world: World) -> None:
    world.stage.portal.stop()


def start_the_portal(world: World) -> None:
    world.stage.portal.start()
    world.stage.portal.wait_until_up()


def leave_orders_unanswered(world: World) -> None:
    """A moderator orders again and again while CyTube answers nobody in time; Prometheus sees each failure."""
    cytube, count = world.stage.cytube, 'sum(bot_errors_total{server="test-1"}) or vector(0)'
    joining = Viewer.join(cytube.server.url, CHANNELS["test"], NAME, SANDBOX_PASSWORD)
    viewer = cytube.run(joining)
    cytube.ask(lambda server: server.delay(10_000))
    try:
        for _ in range(8):
            before = float(world.query(count)[0]["value"][1])
            cytube.run(viewer.pm(BOTS["test"], "afk"))

            def failed(before: float = before) -> bool:
                return float(world.query(count)[0]["value"][1]) > before

            wait_for(failed, "a failure in Prometheus")
    finally:
        cytube.ask(lambda server: server.delay(0))
        cytube.run(viewer.leave())


def hold_a_deployment(world: World) -> None:
    """One that waits on the server before it restarts anything."""
    rehearse(world.host(), "restart", GO, tree=ROOT_OF_BOT)
    words = ["deploy", "test", "--release", world.newer, "--reason", "provoked", "--again"]
    world.held = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=world.stage.portal.tree,
        env={**world.stage.portal.environment, "PORTAL_TOKEN_FILE": str(world.stage.portal.token_file("operator"))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def let_it_go(world: World) -> None:
    go_on(world.host())
    assert world.held is not None
    world.held.wait(120)
    no_rehearsals(world.host(), tree=ROOT_OF_BOT)


def take_the_workers_away(world: World) -> None:
    """Every cluster is killed, and what would start them again is halted; then something is asked for."""
    os.kill(world.stage.portal.pid, signal.SIGSTOP)
    for pid in children(world.stage.portal.pid):
        if "qcluster" in command_line(pid):
            os.killpg(pid, signal.SIGKILL)
    code = "from deployments.core import queueing; queueing.enqueue_delivery()"
    world.manage("shell", "--command", code)


def give_them_back(world: World) -> None:
    os.kill(world.stage.portal.pid, signal.SIGCONT)


CASES = {
    "DeadMansSwitch": Case(lambda world: None, over=False),
    "BotDown": Case(stop_the_bot, codes={"./manage.py verify test": 1}),
    "BotDisconnected": Case(give_the_wrong_password, restart_production, "production", SANDBOX_PASSWORD),
    "BotRestarting": Case(kill_it_again_and_again, over=False),
    "ChannelEmpty": Case(lambda world: None, somebody_comes, "production"),
    "HighResponseTime": Case(lambda world: world.host().latency(2200), lambda world: world.host().clear()),
    "HighErrorRate": Case(leave_orders_unanswered, over=False),
    "CriticalErrorRate": Case(leave_orders_unanswered, over=False),
    "MetricsStale": Case(revoke_its_token),
    "DeploymentFailed": Case(deploy_what_does_not_start, over=False),
    "RollbackOccurred": Case(go_back, over=False),
    "RollbacksRepeated": Case(go_back_three_times, lock, over=False),
    "ServerDrifted": Case(edit_a_unit, look_again, codes={"./manage.py drift test": 1}),
    "DiskSpaceLow": Case(fill_the_disk, empty_it),
    "DeploymentSlow": Case(hold_a_deployment, let_it_go),
    "NoRecentBackup": Case(lambda world: None, program="./manage.py"),
    "QueueStuck": Case(take_the_workers_away, give_them_back, program="./manage.py"),
    "WorkersSilent": Case(take_the_workers_away, give_them_back, program="./manage.py"),
    "PortalDown": Case(stop_the_portal, start_the_portal, program="./manage.py"),
    "HighMemoryUsage": Case(grow_beyond_its_limit),
}
"""By alert."""
