"""Situations × surfaces: every place that says how things stand says the same, with times and alerts that are set."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from alerting import dead_mans_switch
from alerting.models import Acknowledgement, Alert, Incident
from dashboard.models import StatusPage
from deployments.lifecycle import Status
from deployments.models import Environment, Scope, Server
from tests.dashboard import records
from tests.fixtures.records import MakePerson

pytestmark = pytest.mark.django_db


@dataclass
class Stage:
    """What a situation is set up with."""

    enrol: Callable[..., Server]

    def bots(self, *, prod: float | None = 0.0, **changes: Any) -> Server:
        """Both bots; the one of production spoke `prod` seconds ago, or never (None)."""
        here = Environment.objects.get(name="test")
        release = records.release()
        records.beat(self.enrol("test-1", environment=here, current_release=release))
        server = self.enrol("prod-1", current_release=release)
        if prod is not None:
            records.beat(server, prod, **changes)
        return server

    def watched(self, ago: float = 0.0) -> None:
        """Monitoring was heard that long ago."""
        now = timezone.now()
        Alert.objects.create(
            fingerprint="switch",
            name=dead_mans_switch.SWITCH,
            severity="none",
            status=Alert.Status.FIRING,
            starts_at=now - timedelta(days=1),
            last_received_at=now - timedelta(seconds=ago),
        )


def _well(stage: Stage) -> None:
    stage.bots()
    stage.watched()


def _critical(stage: Stage) -> None:
    _well(stage)
    records.alert(Environment.objects.get(name="production"), "RollbacksRepeated")


def _warning(stage: Stage) -> None:
    _well(stage)
    records.alert(Environment.objects.get(name="production"), "MetricsStale", severity="warning")


def _both(stage: Stage) -> None:
    _critical(stage)
    records.alert(Environment.objects.get(name="production"), "MetricsStale", severity="warning")


def _held(stage: Stage) -> None:
    _critical(stage)
    until = timezone.now() + timedelta(hours=1)
    Acknowledgement.objects.create(alert=Alert.objects.latest("pk"), actor="olga", comment="mine", expires_at=until)


def _ran_out(stage: Stage) -> None:
    _critical(stage)
    now = timezone.now()
    Acknowledgement.objects.create(
        alert=Alert.objects.latest("pk"),
        actor="olga",
        comment="mine",
        made_at=now - timedelta(hours=2),
        expires_at=now - timedelta(seconds=1),
    )


def _harmless(stage: Stage) -> None:
    _well(stage)
    home = Environment.objects.get(name="production")
    records.alert(home, "ChannelEmpty", severity="info")
    records.alert(home, "DeploymentFailed", labels={"alertname": "DeploymentFailed", "concerns": "drill"})


def _down(stage: Stage) -> None:
    stage.bots(prod=70)
    stage.watched()


def _down_and_critical(stage: Stage) -> None:
    _down(stage)
    records.alert(Environment.objects.get(name="production"), "BotDown")


def _stale(stage: Stage) -> None:
    stage.bots(prod=45)
    stage.watched()


def _stopped(stage: Stage) -> None:
    stage.bots(goodbye=True, uptime=106.0)
    stage.watched()


def _unheard(stage: Stage) -> None:
    stage.bots(prod=None)
    stage.watched()


def _quiet(stage: Stage) -> None:
    stage.bots()
    stage.watched(ago=600)


def _interrupted(stage: Stage) -> None:
    server = stage.bots()
    stage.watched()
    records.deployment(server, Status.INTERRUPTED, pk=41)


def _settled(stage: Stage) -> None:
    _interrupted(stage)
    records.deployment(Server.objects.get(name="prod-1"), Status.SUCCEEDED, pk=42)


def _incident(stage: Stage, **changes: Any) -> None:
    _well(stage)
    fields: dict[str, Any] = {"title": "The room is gone", "severity": "major", "public": True, "opened_by": "olga"}
    Incident.objects.create(**(fields | changes))


# situation: mood, headline for members, alarms, what strangers read where it differs
SITUATIONS: dict[str, tuple[Callable[[Stage], object], str, str, int, tuple[str, str] | None]] = {
    "all is well": (_well, "calm", "Both bots are in their rooms", 0, None),
    "a critical alert": (_critical, "alarmed", "1 critical alert needs action", 1, None),
    "a warning": (_warning, "wary", "1 alert needs action", 1, None),
    "two alerts": (_both, "alarmed", "2 alerts need action, 1 of them critical", 2, None),
    "an acknowledged one": (_held, "wary", "Both bots are in their rooms", 0, None),
    "an acknowledgement that ran out": (_ran_out, "alarmed", "1 critical alert needs action", 1, None),
    "information and a drill": (_harmless, "calm", "Both bots are in their rooms", 0, None),
    "a bot is down": (_down, "alarmed", "1 of 2 bots needs attention", 0, None),
    "down, and an alert": (_down_and_critical, "alarmed", "1 of 2 bots needs attention", 1, None),
    "no recent word": (_stale, "wary", "1 of 2 bots needs attention", 0, None),
    "a stopped bot": (_stopped, "wary", "1 of 2 bots needs attention", 0, None),
    "a bot never heard": (_unheard, "wary", "1 of 2 bots needs attention", 0, None),
    "monitoring went quiet": (_quiet, "calm", "Both bots are in their rooms", 0, None),
    "monitoring was never heard": (
        lambda stage: stage.bots(),
        "calm",
        "Both bots are in their rooms",
        0,
        None,
    ),
    "an interrupted deployment": (
        _interrupted,
        "wary",
        "Deployment 41 to production was interrupted and needs action",
        0,
        ("calm", "Both bots are in their rooms"),
    ),
    "one that was settled since": (_settled, "calm", "Both bots are in their rooms", 0, None),
    "an open incident": (_incident, "wary", "Incident: The room is gone (investigating)", 0, None),
    "one that only members know of": (
        lambda stage: _incident(stage, public=False),
        "wary",
        "Incident: The room is gone (investigating)",
        0,
        ("calm", "Both bots are in their rooms"),
    ),
    "a critical incident": (
        lambda stage: _incident(stage, severity="critical"),
        "alarmed",
        "Incident: The room is gone (investigating)",
        0,
        None,
    ),
    "a critical incident that is watched": (
        lambda stage: _incident(stage, severity="critical", state="monitoring"),
        "wary",
        "Incident: The room is gone (monitoring)",
        0,
        None,
    ),
    "nothing at all": (lambda _stage: None, "empty", "No bot has been enrolled yet", 0, None),
    "only a critical alert": (
        lambda _stage: records.alert(Environment.objects.get(name="production"), "PortalDown"),
        "alarmed",
        "1 critical alert needs action",
        1,
        None,
    ),
}


@pytest.fixture
def member(make_person: MakePerson, settings: Any) -> Client:
    """An administrator who is signed in."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    make_person("ada", "administrator")
    client = Client()
    client.force_login(User.objects.get(username="ada"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def found(pattern: str, html: str) -> list[str]:
    return [one.replace("&#x27;", "'") for one in re.findall(pattern, html)]


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_surface_says_the_same(
    name: str, enrol: Callable[..., Server], member: Client, anyone: Client, token_for: Callable[..., str]
) -> None:
    StatusPage.objects.create(pk=1, show_alerts=True)
    set_up, mood, headline, alarms, public = SITUATIONS[name]
    set_up(Stage(enrol))
    for client, (its_mood, its_headline) in ((member, (mood, headline)), (anyone, public or (mood, headline))):
        html = page(client, "/")
        assert found(r'class="hero mood-(\w+)[" ]', html) == [its_mood]
        assert found(r"<h1>([^<]*)</h1>", html) == [its_headline]
        assert f"<title>{its_headline} · CyTube Ops</title>" in html
        assert found(r'rel="icon"[^>]*icon(-\w+)?\.svg', html) == [icon_of(its_mood)]

    room = page(member, "/admin/")
    assert found(r'cy-hero cy-mood-(\w+)"', room) == [mood]
    assert headline in room

    public_mood, public_headline = public or (mood, headline)
    told = json.loads(anyone.get("/status.json").content)
    assert (told["mood"], told["headline"]) == (public_mood, public_headline)
    assert anyone.get("/status.json")["Access-Control-Allow-Origin"] == "*"
    badge = anyone.get("/status.svg")
    assert badge["Content-Type"] == "image/svg+xml"
    assert f"<title>bots: {WORDS[public_mood]}</title>" in badge.content.decode()

    token = token_for(Scope.READ, owner=User.objects.get(username="ada"))
    api = Client().get("/api/v1/status", headers={"Authorization": f"Bearer {token}"}).json()
    assert (api["mood"], api["headline"], api["alarms"]) == (mood, headline, alarms)
    code, document = terminal()
    assert (document["mood"], document["headline"], document["alarms"]) == (mood, headline, alarms)
    assert code == (mood in {"wary", "alarmed"})

    counted = [str(alarms)] if alarms else []
    assert found(r'href="/alerts/"[^>]*>Alerts <span class="badge">(\d+)', page(member, "/")) == counted
    assert found(r'href="/alerts/"[^>]*>Alerts <span class="badge">(\d+)', room) == counted
    inbox = page(member, "/alerts/")
    assert found(r"<title>(?:\((\d+)\) )?", inbox) == (counted or [""])
    assert bool(found(r"<h1>(\d+ [^<]*needs? action[^<]*)</h1>", inbox)) is bool(alarms)


def terminal() -> tuple[int, dict[str, Any]]:
    """Exit code and document of `overview`."""
    out, code = StringIO(), 0
    try:
        call_command("overview", "--json", stdout=out)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return code, json.loads(out.getvalue())


WORDS = {"calm": "all well", "wary": "look", "alarmed": "trouble", "empty": "nothing yet"}


def icon_of(mood: str) -> str:
    """The end of the icon's name."""
    return f"-{mood}" if mood in {"wary", "alarmed"} else ""


def test_nothing_fires_is_said_only_where_somebody_watches(enrol: Callable[..., Server], member: Client) -> None:
    stage = Stage(enrol)
    stage.bots()
    assert "Nothing fires" not in page(member, "/alerts/")
    assert "Monitoring has not been heard yet: nobody would be told of a failure." in page(member, "/?bot=prod-1")
    stage.watched(ago=600)
    assert "Nothing fires" not in page(member, "/alerts/")
    assert "Monitoring has gone quiet: nobody would be told of a failure." in page(member, "/?bot=prod-1")
    Alert.objects.update(last_received_at=timezone.now())
    assert "Nothing fires" in page(member, "/alerts/")
    assert "nobody would be told" not in page(member, "/?bot=prod-1")


def test_strangers_are_told_of_alerts_only_where_the_page_shows_them(
    enrol: Callable[..., Server], anyone: Client
) -> None:
    _critical(Stage(enrol))
    told = json.loads(anyone.get("/status.json").content)
    assert (told["mood"], told["headline"]) == ("calm", "Both bots are in their rooms")
    StatusPage.objects.create(pk=1, public=False)
    for path in ("/status.json", "/status.svg"):
        assert anyone.get(path).status_code == 404
