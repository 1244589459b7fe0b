"""What a deployment, a restart and a stop silence, and for how long; each lifts its own and nothing else."""

import logging
import os
from datetime import datetime, timedelta
from typing import Any

import pytest

from deployments.execution import silences
from deployments.models import Server
from engine.alertmanager import AlertmanagerError, AlertmanagerUnreachable, Matcher, Silence
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


class Played:
    """Alertmanager as far as silences go."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.held: list[Silence] = []
        self.expired: list[str] = []
        self.error: Exception | None = None

    def create_silence(self, **asked: Any) -> None:
        if self.error:
            raise self.error
        self.made.append(asked)

    def silences(self) -> list[Silence]:
        return self.held

    def expire_silence(self, identifier: str) -> None:
        self.expired.append(identifier)

    def hold(self, identifier: str, comment: str, *, by: str = "ops-portal", state: str = "active") -> None:
        now = datetime.now().astimezone()
        self.held.append(Silence(identifier, state, by, comment, now, now, ()))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    alertmanager = Played()
    monkeypatch.setattr(silences, "alertmanager", lambda: alertmanager)
    return alertmanager


@pytest.fixture
def server(world: World) -> Server:
    return world.servers["test"]


def made(played: Played) -> tuple[timedelta, str, list[Matcher]]:
    (asked,) = played.made
    assert asked["created_by"] == "ops-portal"
    return asked["ends_at"] - asked["starts_at"], asked["comment"], asked["matchers"]


EXPECTED = Matcher(
    "alertname", "BotDown|BotDisconnected|BotRestarting|HighResponseTime|MetricsStale|ServiceDown", regex=True
)


def test_a_deployment_silences_its_servers_until_its_deadline(world: World, played: Played) -> None:
    row = world.request(environment="test")
    other = Server.objects.create(name="test-2", environment=world.test, host="192.0.2.1")
    row.targets.create(server=other, order=2)
    silences.begin(row).result(10)
    assert made(played) == (
        timedelta(minutes=10),
        f"deployment {row.pk}",
        [EXPECTED, Matcher("environment", "test"), Matcher("server", "test-1|test-2", regex=True)],
    )


def test_a_restart_is_silenced_for_minutes_and_a_stop_for_a_week(server: Server, played: Played) -> None:
    about = [EXPECTED, Matcher("environment", "test"), Matcher("server", "test-1", regex=True)]
    silences.expect_restart(server).result(10)
    assert made(played) == (timedelta(minutes=3), "restart of test-1", about)
    played.made.clear()
    silences.keep_quiet(server).result(10)
    assert made(played) == (timedelta(days=7), "test-1 is stopped", about)


def test_what_ends_lifts_its_own_silences_that_still_hold(world: World, server: Server, played: Played) -> None:
    row = world.request(environment="test")
    played.hold("of a person", f"deployment {row.pk}", by="olga")
    played.hold("over", f"deployment {row.pk}", state="expired")
    played.hold("mine", f"deployment {row.pk}")
    played.hold("planned", f"deployment {row.pk}", state="pending")
    played.hold("of another deployment", f"deployment {row.pk}0")
    played.hold("of a restart", "restart of test-1")
    played.hold("of a stop", "test-1 is stopped")
    played.hold("of another stop", "test-2 is stopped")
    silences.end(row).result(10)
    assert played.expired == ["mine", "planned"]
    played.expired.clear()
    silences.speak_again(server).result(10)
    assert played.expired == ["of a restart", "of a stop"]


@pytest.mark.parametrize(
    ("error", "level"),
    [(AlertmanagerUnreachable("nobody there"), logging.DEBUG), (AlertmanagerError("no"), logging.WARNING)],
)
def test_an_alertmanager_that_is_away_holds_nothing_up(
    server: Server, played: Played, error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    played.error = error
    with caplog.at_level(logging.DEBUG, logger=silences.__name__):
        silences.keep_quiet(server).result(10)
    assert [record.levelno for record in caplog.records if record.name == silences.__name__] == [level]


def test_a_process_has_one_thread_for_them_and_a_fork_its_own() -> None:
    executors = silences._Executors()
    ours = executors.here()
    assert executors.here() is ours
    child = os.fork()
    if child == 0:
        mine = executors.here()
        os._exit(0 if mine is not ours and mine.submit(lambda: 7).result(10) == 7 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert executors.here() is ours
    ours.shutdown()
