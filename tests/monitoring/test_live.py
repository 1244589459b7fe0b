"""Real Prometheus and Alertmanager, with the shipped rules and configuration, at shortened intervals."""

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from alerting import dead_mans_switch
from alerting import receipts as channels
from alerting import selectors as inbox
from alerting.channels import channels as shown
from alerting.drills import drill_alerts
from alerting.models import Alert, AlertReceipt
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor
from deployments.core.alertmanager import alertmanager
from deployments.execution import silences
from deployments.models import AuditEvent, Deployment, Environment, Scope, Server
from sandbox.mail import MailSink, WebhookSink
from sandbox.monitoring import Monitoring
from tests.fixtures.records import HOST_KEY, MakeRelease
from tests.monitoring import rules as shipped
from tests.monitoring.waiting import TIMEOUT, until

pytestmark = [pytest.mark.monitoring]

STATUSES = ("firing", "resolved")
WANTED = {(channel, status) for channel in ("portal", "email", "slack") for status in STATUSES}
WAITS = {
    "group_wait": "2s",
    "group_interval": "1s",
    "resolve": "5m",
    "repeat_critical": "1h",
    "repeat_warning": "1h",
    "repeat_info": "1h",
    "dead_mans_switch": "1s",
}


class StandInBot:
    """The metrics port of a bot that can be stopped and started."""

    def __init__(self) -> None:
        self.connected = 1
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        bot = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"bot_connected {bot.connected}\nbot_users 3\nprocess_start_time_seconds 1\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Watched:
    """Two bots of production under watch, and everywhere their alerts go."""

    bots: list[StandInBot]
    stack: Monitoring
    mail: MailSink
    slack: WebhookSink

    def alerts_of_alertmanager(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.stack.alertmanager_url}/api/v2/alerts", timeout=60) as response:
            found: list[dict[str, Any]] = json.load(response)
        return found

    def state_of(self, name: str) -> str:
        states = {each["labels"]["alertname"]: each["status"]["state"] for each in self.alerts_of_alertmanager()}
        return str(states.get(name, "unknown"))


def receipts(name: str) -> set[tuple[str, str]]:
    """Which channel was told what about alerts of this name."""
    return set(AlertReceipt.objects.filter(alert__name=name).values_list("channel", "status"))


def quick_rules(directory: Path) -> Path:
    """The shipped rules with every `for` of minutes as half a second."""
    shutil.copytree(shipped.ROOT / "rules", directory)
    for path in directory.glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            for rule in group["rules"]:
                if rule.get("for", "").endswith("m"):
                    rule["for"] = "500ms"
        path.write_text(yaml.safe_dump(document))
    return directory


@pytest.fixture
def watched(
    request: pytest.FixtureRequest,
    static_files: None,
    live_server: Any,
    state_dir: Path,
    settings: Any,
    tmp_path: Path,
) -> Iterator[Watched]:
    """At short intervals, unless a test asks for the shipped ones."""
    as_shipped = getattr(request, "param", "") == "as shipped"
    bots = [StandInBot(), StandInBot()]
    home = Environment.objects.get(name="production")
    for number, bot in enumerate(bots, start=1):
        Server.objects.create(
            name=f"prod-{number}",
            environment=home,
            host="127.0.0.1",
            port=number,
            roles=["bot"],
            host_key=HOST_KEY,
            fingerprint="SHA256:x",
            state=Server.State.PROVISIONED,
            facts={"health": {"port": bot.port, "path": "/api/health"}},
        )
    _, token = issue_token(actor=system_actor("tests"), name="watch", scopes=[Scope.METRICS, Scope.ALERTS])
    with contextlib.ExitStack() as stack:
        for bot in bots:
            stack.callback(bot.stop)
        mail, slack = stack.enter_context(MailSink()), stack.enter_context(WebhookSink())
        wanted: dict[str, Any] = {
            "portal": {"url": live_server.url},
            "mail": {
                "to": "ops@example.org",
                "from": "watch@example.org",
                "smarthost": f"127.0.0.1:{mail.port}",
                "require_tls": False,
            },
            "slack": {"channel": "#ops"},
        }
        if not as_shipped:
            wanted |= {"prometheus": {"interval": "1s"}, "waits": WAITS}
        rules = shipped.ROOT / "rules" if as_shipped else quick_rules(tmp_path / "rules")
        secrets = {"monitoring-token": str.__str__(token), "slack-url": slack.url}
        watching = Monitoring(tmp_path / "watch", wanted, secrets, rules)
        stack.enter_context(watching)
        settings.ALERTMANAGER_URL = watching.alertmanager_url
        until(lambda: len(watching.query('up{job="bots"} == 1')) == 2, "both bots to be scraped")
        until(lambda: watching.query('up{job="portal"} == 1'), "the portal to be scraped")
        yield Watched(bots, watching, mail, slack)


@pytest.mark.django_db(transaction=True)
def test_a_bot_that_stops_and_starts_is_told_to_the_portal_by_mail_and_to_slack(watched: Watched) -> None:
    watched.bots[0].stop()
    watched.mail.wait_for(lambda mail: "FIRING" in mail.subject and "BotDown" in mail.subject, TIMEOUT)
    watched.slack.wait_for(lambda post: "FIRING BotDown production" in post.text, TIMEOUT)
    until(lambda: Alert.objects.filter(name="BotDown", status="firing").exists(), "the portal to be told")
    alert = Alert.objects.get(name="BotDown")
    assert alert.server is not None
    assert (alert.server.name, str(alert.environment), alert.severity) == ("prod-1", "production", "critical")
    assert alert.summary == "The bot on prod-1 (production) does not answer."

    watched.bots[0].start()
    mail = watched.mail.wait_for(lambda mail: "RESOLVED" in mail.subject and "BotDown" in mail.subject, TIMEOUT)
    assert "The bot on prod-1 (production) does not answer." in mail.text
    watched.slack.wait_for(lambda post: "RESOLVED BotDown production" in post.text, TIMEOUT)
    until(lambda: Alert.objects.filter(name="BotDown", status="resolved").exists(), "the portal to hear of the end")
    assert set(AlertReceipt.objects.filter(alert=alert).values_list("status", flat=True)) == {"firing", "resolved"}


@pytest.mark.full
@pytest.mark.parametrize("watched", ["as shipped"], indirect=True)
@pytest.mark.django_db(transaction=True)
def test_at_the_shipped_intervals_every_channel_is_told_of_beginning_and_end_within_two_minutes(
    watched: Watched, record_property: Callable[[str, object], None]
) -> None:
    for status, act in (("firing", watched.bots[0].stop), ("resolved", watched.bots[0].start)):
        act()
        took = arrivals(watched, status)
        record_property(status, took)
        print(f"BotDown {status}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))
        assert max(took.values()) < 120, took


def arrivals(watched: Watched, status: str) -> dict[str, float]:
    """Seconds until each channel has been told of BotDown."""
    subject = f"[{status.upper()}"
    ways: dict[str, Callable[[], object]] = {
        "portal": lambda: AlertReceipt.objects.filter(alert__name="BotDown", status=status).exists(),
        "email": lambda: [m for m in watched.mail.messages if subject in m.subject and "BotDown" in m.subject],
        "slack": lambda: [p for p in watched.slack.messages if f"{status.upper()} BotDown production" in p.text],
    }
    took: dict[str, float] = {}
    began = time.monotonic()

    def all_told() -> bool:
        for name, told in ways.items():
            if name not in took and told():
                took[name] = round(time.monotonic() - began, 1)
        return len(took) == len(ways)

    until(all_told, f"every channel to be told that BotDown is {status}", 200)
    return took


@pytest.mark.django_db(transaction=True)
def test_bots_of_one_environment_are_one_message_on_every_channel(watched: Watched) -> None:
    for bot in watched.bots:
        bot.connected = 0
    mail = watched.mail.wait_for(lambda mail: "[FIRING 2] BotDisconnected production" in mail.subject, TIMEOUT)
    post = watched.slack.wait_for(lambda post: "BotDisconnected" in post.text and "prod-2" in post.text, TIMEOUT)
    for text in (mail.text, post.text):
        assert "prod-1" in text
        assert "prod-2" in text
    until(lambda: Alert.objects.filter(name="BotDisconnected").count() == 2, "the portal to be told of both")
    (group,) = inbox.groups(inbox.firing(timezone.now()))
    assert (group.name, group.environment, len(group.alerts)) == ("BotDisconnected", "production", 2)
    receipts = AlertReceipt.objects.filter(alert__name="BotDisconnected").order_by()
    assert receipts.values("group_key").distinct().count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_cause_hides_its_consequence_on_the_same_bot_only(watched: Watched) -> None:
    now = timezone.now()
    for name, severity, server in (
        ("BotDown", "critical", "prod-9"),
        ("BotDisconnected", "warning", "prod-9"),
        ("ChannelEmpty", "info", "prod-8"),
    ):
        labels = {"alertname": name, "severity": severity, "environment": "production", "server": server}
        alertmanager().post_alert(labels=labels, annotations={}, starts_at=now, ends_at=now + timedelta(minutes=10))
    until(lambda: watched.state_of("BotDisconnected") == "suppressed", "the inhibition")
    watched.mail.wait_for(lambda mail: "BotDown" in mail.subject, TIMEOUT)
    watched.mail.wait_for(lambda mail: "ChannelEmpty" in mail.subject, TIMEOUT)
    watched.slack.wait_for(lambda post: "ChannelEmpty" in post.text, TIMEOUT)
    until(lambda: {"BotDown", "ChannelEmpty"} <= set(Alert.objects.values_list("name", flat=True)), "the portal")
    assert not [mail.subject for mail in watched.mail.messages if "BotDisconnected" in mail.subject]
    assert not [post.text for post in watched.slack.messages if "BotDisconnected" in post.text]
    assert not Alert.objects.filter(name="BotDisconnected").exists()


@pytest.mark.django_db(transaction=True)
def test_a_deployment_silences_its_own_bots_and_lifts_the_silence_at_its_end(
    watched: Watched, make_release: MakeRelease
) -> None:
    production = Environment.objects.get(name="production")
    deployment = Deployment.objects.create(environment=production, release=make_release("1.0.0"), status="running")
    deployment.targets.create(server=Server.objects.get(name="prod-1"), order=1)
    silences.begin(deployment).result(30)
    watched.bots[0].stop()
    until(lambda: watched.state_of("BotDown") == "suppressed", "the silence to hold")
    # the other bot of the environment is not part of the deployment
    watched.bots[1].stop()
    mail = watched.mail.wait_for(lambda mail: "BotDown" in mail.subject, TIMEOUT)
    assert "prod-2" in mail.text
    assert "prod-1" not in mail.text
    watched.slack.wait_for(lambda post: "BotDown" in post.text, TIMEOUT)
    until(lambda: Alert.objects.filter(name="BotDown").exists(), "the portal to be told")
    assert [alert.server.name for alert in Alert.objects.filter(name="BotDown") if alert.server] == ["prod-2"]
    assert not [post.text for post in watched.slack.messages if "prod-1" in post.text]

    silences.end(deployment).result(30)
    assert [each.state for each in alertmanager().silences()] == ["expired"]
    watched.mail.wait_for(lambda mail: "BotDown" in mail.subject and "prod-1" in mail.text, TIMEOUT)
    watched.slack.wait_for(lambda post: "prod-1" in post.text, TIMEOUT)
    until(lambda: Alert.objects.filter(name="BotDown", server__name="prod-1").exists(), "the portal to be told")


@pytest.mark.django_db(transaction=True)
def test_the_dead_mans_switch_reaches_the_portal_and_nobody_else(watched: Watched) -> None:
    until(lambda: dead_mans_switch.state(timezone.now()) is dead_mans_switch.SwitchState.HEARD, "the switch")
    first = dead_mans_switch.last_heard()
    until(lambda: dead_mans_switch.last_heard() != first, "the switch again")
    assert AlertReceipt.objects.filter(alert__name=dead_mans_switch.SWITCH).count() == 1
    assert not [mail.subject for mail in watched.mail.messages if "DeadMansSwitch" in mail.subject]


@pytest.mark.django_db(transaction=True)
def test_the_alert_drill_measures_every_channel_fired_and_resolved(watched: Watched) -> None:
    held = drill_alerts(
        actor=system_actor("tests"), environment=Environment.objects.get(name="production"), timeout=TIMEOUT
    )
    assert held.passed, held.problems
    arrivals = {f"{name} {status}" for name in ("email", "slack", "portal") for status in STATUSES}
    assert set(held.measured) == arrivals
    watched.mail.wait_for(lambda mail: "[FIRING 1] Drill production" in mail.subject, TIMEOUT)
    watched.mail.wait_for(lambda mail: "[RESOLVED] Drill production" in mail.subject, TIMEOUT)
    event = AuditEvent.objects.filter(name="drill.alerts").get()
    assert event.data["passed"] is True
    # each channel has its receipts, and is proven

    def all_arrived() -> bool:
        channels.read()
        return receipts("Drill") == WANTED

    until(all_arrived, "the receipts of mail and Slack")
    assert all(one.proven_at and one.fired is not None and one.resolved is not None for one in shown())
    assert not Deployment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_alert_drill_names_the_channel_that_does_not_deliver(watched: Watched) -> None:
    watched.mail.stop()
    held = drill_alerts(
        actor=system_actor("tests"), environment=Environment.objects.get(name="production"), timeout=6.0
    )
    assert not held.passed
    assert [problem for problem in held.problems if problem.startswith("email had not taken the firing alert")]
    assert "portal firing" in held.measured


def test_both_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    monitoring = Monitoring(tmp_path, {}, {"monitoring-token": "unused"})
    starter = threading.Thread(target=monitoring.__enter__)
    starter.start()
    starter.join(TIMEOUT)
    try:
        for child in monitoring._children:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.5)
        assert monitoring.query("vector(1)")
    finally:
        monitoring.stop()
