"""Services without a room: asked by the portal or speaking for themselves, and in words of their own on every page."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard import tasks
from dashboard.intervals import LISTENED
from dashboard.metrics import PortalCollector
from dashboard.models import BotState, Condition, Sample
from dashboard.readiness.scorecard import scorecards
from dashboard.selectors.bot_status import bot_statuses
from dashboard.selectors.bots import all_bots, last_days
from dashboard.selectors.overall_status import overall_status
from dashboard.selectors.targets import targets
from dashboard.services.probing import probe_services
from deployments.execution.finish import service_of
from deployments.models import Scope, Server
from engine.artifacts.deploy_toml import Health
from tests.dashboard import records
from tests.dashboard.conftest import DOCUMENT, StandIn
from tests.project.raised import ROOT

pytestmark = pytest.mark.django_db
Enrol = Callable[..., Server]
BOTS_WORDS = re.compile(r"\broom|never heard|not in its|connected|people|chat", re.IGNORECASE)


@pytest.fixture
def service(enrol: Enrol, stand_in: StandIn) -> Server:
    """A service that was deployed, and its health port."""
    server = enrol("shop-1", port=stand_in.port)
    server.service, server.current_release = Server.Service.ASKED, records.release()
    server.save()
    return server


def visible(page: str) -> str:
    """What a visitor reads."""
    return re.sub(r"<(script|style|svg)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)


def test_a_service_is_asked_and_its_answer_counts(service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(
        {"version": "2.1.0", "uptime": 77.5, "anything": [1]}, headers="X-Release: 2.1.0-abc\r\n"
    )
    assert probe_services() == 1
    state = BotState.objects.get()
    assert (state.connected, state.probed, state.version, state.uptime) == (True, True, "2.1.0", 77.5)
    assert (state.release, state.channel, state.user_count) == ("2.1.0-abc", "", 0)
    assert state.response_ms is not None


@pytest.mark.parametrize(
    "body",
    [b"OK", b"", b"[" * 8000, b'{"version": 7, "uptime": -1}', b'{"version": "\\u0000", "uptime": "long"}', b"\xff"],
)
def test_whatever_it_answers_200_is_well(body: bytes, service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(body)
    probe_services()
    state = BotState.objects.get()
    assert (state.connected, state.version, state.uptime) == (True, "1.0.0", 0.0)


def test_uptime_is_what_two_answers_confirm_and_failures_count(service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(b"OK")
    probe_services()
    BotState.objects.update(heard_at=timezone.now() - timedelta(seconds=60), observed_until=None)
    probe_services()
    stand_in.script = stand_in.says(b"no", status="500 Down")
    BotState.objects.update(heard_at=timezone.now() - timedelta(seconds=60), observed_until=None)
    probe_services()
    bots = all_bots(timezone.now())
    assert (bots[0].condition, bots[0].word) == (Condition.DISCONNECTED, "Not well")
    day = last_days(bots, timezone.now())[service.pk]
    assert 59 < day.connected_seconds < 70
    assert 119 < day.observed_seconds < 140
    assert overall_status(timezone.now()).headline == "shop-1: not well"


def test_that_nobody_asked_says_nothing_about_it(service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(b"OK")
    probe_services()
    before = list(Sample.objects.values_list("observed_seconds", flat=True))
    long_ago = timezone.now() - timedelta(seconds=LISTENED + 10)
    BotState.objects.update(heard_at=long_ago, observed_until=long_ago)
    assert bot_statuses(timezone.now())[0].word == "Not looked at lately"
    tasks.note_silences()
    assert list(Sample.objects.values_list("observed_seconds", flat=True)) == before


def test_before_its_first_answer_nothing_is_wrong(service: Server, stand_in: StandIn) -> None:
    stand_in.stop()
    assert tasks.probe() == 1
    assert not BotState.objects.exists()
    situation = overall_status(timezone.now())
    assert (situation.mood, situation.headline) == ("empty", "What is deployed is not watched")
    assert bot_statuses(timezone.now())[0].word == "Not reached yet"


def test_what_speaks_for_itself_is_not_asked(service: Server, stand_in: StandIn) -> None:
    records.beat(service, channel="")
    assert probe_services() == 0
    records.beat(service, ago=90, channel="")
    BotState.objects.update(heard_at=timezone.now() - timedelta(seconds=90))
    assert probe_services() == 1, "it has gone quiet"


@pytest.mark.parametrize(
    ("kind", "release", "state", "asked"),
    [
        (Server.Service.BOT, True, Server.State.PROVISIONED, 0),
        (Server.Service.UNASKED, True, Server.State.PROVISIONED, 0),
        (Server.Service.ASKED, False, Server.State.PROVISIONED, 0),
        (Server.Service.ASKED, True, Server.State.RETIRED, 0),
        (Server.Service.ASKED, True, Server.State.PROVISIONED, 1),
    ],
)
def test_only_services_in_service_are_asked(
    kind: str, release: bool, state: str, asked: int, service: Server, stand_in: StandIn
) -> None:
    changes: dict[str, Any] = {"service": kind, "state": state} | ({} if release else {"current_release": None})
    Server.objects.update(**changes)
    assert probe_services() == asked


@pytest.mark.parametrize("heard", ["asked and well", "asked and not well", "by heartbeat", "never", "not watched"])
def test_no_page_speaks_of_rooms_where_there_is_none(
    heard: str, service: Server, stand_in: StandIn, client: Client
) -> None:
    stand_in.script = stand_in.says(b"OK")
    if heard.startswith("asked"):
        probe_services()
    if heard == "asked and not well":
        BotState.objects.update(connected=False)
    if heard == "by heartbeat":
        records.beat(service, channel="", user_count=0)
    if heard == "not watched":
        Server.objects.update(service=Server.Service.UNASKED)
    for address in ("/", "/bots/shop-1/"):
        said = visible(client.get(address).content.decode())
        assert BOTS_WORDS.findall(said) == [], address
        assert "shop-1" in said
    words = {"asked and not well": "Not well", "never": "Not reached yet", "not watched": "Not watched"}
    assert words.get(heard, "Running") in said


def test_bots_and_services_together_are_services(service: Server, stand_in: StandIn, enrol: Enrol) -> None:
    stand_in.script = stand_in.says(b"OK")
    probe_services()
    records.beat(enrol("prod-1"))
    assert overall_status(timezone.now()).headline == "Both services are running"
    Server.objects.filter(pk=service.pk).delete()
    assert overall_status(timezone.now()).headline == "The bot is in its room"


def test_the_health_address_of_a_service_answers_for_it(service: Server, stand_in: StandIn, client: Client) -> None:
    stand_in.script = stand_in.says(b"OK")
    answer = client.get("/api/health/shop-1")
    assert (answer.status_code, answer.json()["connected"]) == (200, True)
    assert set(answer.json()) == set(DOCUMENT)


def test_no_rule_about_bots_asks_a_service(service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(b"OK")
    probe_services()
    assert [group["labels"]["role"] for group in targets()] == ["service"]
    samples = {sample.name: sample.value for family in PortalCollector().collect() for sample in family.samples}
    assert samples["portal_service_up"] == 1.0
    assert "portal_bot_heartbeat_timestamp_seconds" not in samples


def test_readiness_asks_of_a_service_what_applies_to_it(service: Server, stand_in: StandIn) -> None:
    stand_in.script = stand_in.says(b"OK")
    probe_services()
    (card,) = [card for card in scorecards(timezone.now()) if card.application == service.environment.application]
    said = " ".join(f"{row.title} {row.sentence} {row.missing}" for row in card.rows)
    assert "room" not in said
    assert {"4", "8"}.isdisjoint(row.key for row in card.rows)


def test_ten_lines_of_python_are_a_heartbeat(
    transactional_db: None, service: Server, live_server: Any, token_for: Any, tmp_path: Path
) -> None:
    """The program of docs/api.md, as it stands there."""
    section = (ROOT / "docs/api.md").read_text().partition("\n## Heartbeats\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "portal-token").write_text(f"{token_for(Scope.HEARTBEAT, server=service)}\n")
    environ = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path), "PORTAL_URL": str(live_server.url)}
    subprocess.run(
        [sys.executable, "-I", "-c", f"{program}\nbeat(True, requests=3)\nbeat(False, requests=4, errors=1)"],
        env=environ, check=True, timeout=60,
    )  # fmt: skip
    state = BotState.objects.get()
    assert (state.connected, state.requests, state.errors, state.probed) == (False, 4, 1, False)
    assert bot_statuses(timezone.now())[0].word == "Not well"
    assert len([line for line in program.splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize(
    ("health", "identity", "kind"),
    [(True, None, Server.Service.ASKED), (False, None, Server.Service.UNASKED), (True, ["a"], Server.Service.BOT)],
)
def test_what_a_release_says_of_itself_decides(health: bool, identity: list[str] | None, kind: str) -> None:
    asked = Health(url="http://127.0.0.1:8001/health")
    assert service_of(asked if health else None, identity) == kind
    assert service_of(asked.model_copy(update={"connected": "ready"}), None) == Server.Service.BOT
