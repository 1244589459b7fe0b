"""The configuration that Prometheus and Alertmanager get."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring import rules as shipped

DEFAULTS: dict[str, dict[str, Any]] = json.loads((shipped.ROOT / "settings.json").read_text())
MAIL = {"to": "ops@example.org", "from": "portal@example.org", "smarthost": "mail.example.org:587", "username": "ops"}
SLACK = {"channel": "#ops"}


class Rendered:
    """What render.py wrote, and what it said."""

    def __init__(self, directory: Path, **settings: dict[str, Any]) -> None:
        self.secrets = directory / "secrets"
        self.secrets.mkdir()
        for name in ("monitoring-token", "mail-password"):
            (self.secrets / name).write_text(f"the {name}")
        (self.secrets / "slack-url").write_text("https://hooks.example.org/services/secret")
        merged = {name: {**table, **settings.get(name, {})} for name, table in DEFAULTS.items()}
        merged |= {name: table for name, table in settings.items() if name not in DEFAULTS}
        (directory / "monitoring.json").write_text(json.dumps(merged))
        self.done = subprocess.run(
            [
                *(sys.executable, str(shipped.ROOT / "render.py"), "--settings", str(directory / "monitoring.json")),
                *("--secrets", str(self.secrets), "--into", str(directory), "--check"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.directory = directory

    def text(self, name: str) -> str:
        return (self.directory / f"{name}.yml").read_text()

    def document(self, name: str) -> Any:
        return json.loads(self.text(name))


def receivers(rendered: Rendered) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in rendered.document("alertmanager")["receivers"]}


@pytest.mark.monitoring
@pytest.mark.parametrize("channels", [{}, {"mail": MAIL}, {"slack": SLACK}, {"mail": MAIL, "slack": SLACK}])
def test_promtool_and_amtool_accept_it_whatever_is_configured(channels: dict[str, Any], tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, **channels)
    assert rendered.done.returncode == 0, rendered.done.stderr
    people = receivers(rendered)["people"]
    assert people["webhook_configs"][0]["url"] == "http://127.0.0.1:8080/api/alerts/alertmanager"
    assert ("email_configs" in people) == ("mail" in channels)
    assert ("slack_configs" in people) == ("slack" in channels)


def test_every_receiver_is_told_of_the_end_as_well(tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, mail=MAIL, slack=SLACK)
    configured = [
        each
        for receiver in receivers(rendered).values()
        for kind, several in receiver.items()
        if kind != "name"
        for each in several
    ]
    assert len(configured) == 4
    assert all(each["send_resolved"] is True for each in configured)


def test_no_secret_is_in_a_configuration(tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, mail=MAIL, slack=SLACK)
    for name in ("prometheus", "alertmanager"):
        assert "the monitoring-token" not in rendered.text(name)
        assert "the mail-password" not in rendered.text(name)
        assert "services/secret" not in rendered.text(name)
    assert str(rendered.secrets / "slack-url") in rendered.text("alertmanager")


def test_alerts_are_grouped_and_repeated_as_people_asked(tmp_path: Path) -> None:
    route = Rendered(tmp_path).document("alertmanager")["route"]
    assert route["group_by"] == ["alertname", "environment"]
    assert (route["group_wait"], route["repeat_interval"]) == ("10s", "24h")
    severities = {each["matchers"][0]: each for each in route["routes"]}
    assert severities['severity = "critical"']["group_wait"] == "0s"
    assert severities['severity = "critical"']["repeat_interval"] == "4h"
    assert severities['severity = "warning"']["repeat_interval"] == "12h"


@pytest.mark.monitoring
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=BotDown", "severity=critical"), "people"),
        (("alertname=ChannelEmpty", "severity=info"), "people"),
        (("alertname=DeadMansSwitch", "severity=none"), "dead-mans-switch"),
    ],
)
def test_alerts_reach_whom_they_concern(labels: tuple[str, ...], receiver: str, tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, mail=MAIL)
    done = subprocess.run(
        ["amtool", "config", "routes", "test", f"--config.file={rendered.directory / 'alertmanager.yml'}", *labels],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == receiver, done.stderr


def test_the_dead_mans_switch_goes_to_the_portal_alone(tmp_path: Path) -> None:
    assert set(receivers(Rendered(tmp_path, mail=MAIL, slack=SLACK))["dead-mans-switch"]) == {"name", "webhook_configs"}


def test_prometheus_asks_the_portal_for_its_targets_with_a_token_by_file(tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, portal={"url": "https://ops.example.org"})
    jobs = {job["job_name"]: job for job in rendered.document("prometheus")["scrape_configs"]}
    (discovery,) = jobs["bots"]["http_sd_configs"]
    assert discovery["url"] == "https://ops.example.org/api/prometheus/targets"
    assert discovery["authorization"]["credentials_file"] == str(rendered.secrets / "monitoring-token")
    (apart,) = jobs["bots"]["relabel_configs"]
    assert (apart["regex"], apart["target_label"], apart["replacement"]) == ("service", "job", "services")
    assert jobs["portal"]["scheme"] == "https"
    assert jobs["portal"]["static_configs"] == [{"targets": ["ops.example.org:443"]}]
    assert jobs["portal"]["honor_labels"] is True


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"portal": {"url": "ops.example.org"}}, "portal.url must begin with http"),
        ({"prometheus": {"interval": "often"}}, "prometheus.interval must be a duration"),
        ({"mail": {"to": "ops@example.org"}}, "mail.smarthost must be HOST:PORT"),
        ({"telegram": {"chat": "1"}}, "'telegram' is no setting"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    done = Rendered(tmp_path, **settings).done
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.monitoring
def test_what_the_tools_refuse_is_said_with_their_words(tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, slack=SLACK)
    (rendered.secrets / "monitoring-token").unlink()
    again = subprocess.run(
        [
            *(sys.executable, str(shipped.ROOT / "render.py"), "--settings", str(tmp_path / "monitoring.json")),
            *("--secrets", str(rendered.secrets), "--into", str(tmp_path), "--check"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 1
    assert "monitoring-token" in again.stderr
