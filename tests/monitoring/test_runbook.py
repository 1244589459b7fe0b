"""Each alert through its section of the runbook: provoked, and over once what the section says was done.

What a section's last step does to a bot, a server or the portal is given to Prometheus as figures; commands of the
portal are run as they stand there by tests/deployments/management/test_runbook.py. DeadMansSwitch has no end: its
absence is MonitoringSilent's (tests/alerting/test_dead_mans_switch.py).
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.monitoring import rules as shipped
from tests.monitoring.sections import SECTIONS

BOT = '{job="bots", environment="production", server="prod-1"}'
SERVICE = '{environment="shop/live", server="shop-1"}'
ENDED = "portal_deployment_last_end_timestamp_seconds"


@dataclass(frozen=True)
class Case:
    """Figures up to its beginning and after `step`, a text of the section; when it fires, and when it is over."""

    step: str
    interval: str
    series: dict[str, str]
    fires: str
    over: str


CASES = {
    "BotDown": Case("rollback E", "15s", {f"up{BOT}": "1 0x20 1x20"}, "4m", "6m"),
    "BotDisconnected": Case("set_secret E cytube-password", "15s", {f"bot_connected{BOT}": "1 0x40 1x20"}, "6m", "11m"),
    "BotRestarting": Case(
        "rollback E", "1m", {f"process_start_time_seconds{BOT}": "10 10 20 20 30 30 40 40 50 50x30"}, "9m", "26m"
    ),
    "HighErrorRate": Case(
        "what it depends on",
        "1m",
        {f"bot_requests_total{BOT}": "0+50x60", f"bot_errors_total{BOT}": "0+10x20 200x40"},
        "15m",
        "33m",
    ),
    "CriticalErrorRate": Case(
        "rollback E",
        "1m",
        {f"bot_requests_total{BOT}": "0+50x60", f"bot_errors_total{BOT}": "0+10x20 200x40"},
        "15m",
        "28m",
    ),
    "ChannelEmpty": Case(
        "restart the bot", "1m", {f"bot_users{BOT}": "4 1x40 5x20", f"bot_connected{BOT}": "1x70"}, "32m", "43m"
    ),
    "HighResponseTime": Case("`top`", "15s", {f"scrape_duration_seconds{BOT}": "2.5x40 0.1x20"}, "6m", "11m"),
    "HighMemoryUsage": Case(
        "systemctl restart", "1m", {f"process_resident_memory_bytes{BOT}": "510e6x20 90e6x10"}, "11m", "22m"
    ),
    "MetricsStale": Case(
        "provision S",
        "15s",
        {f"up{BOT}": "1x80", f"portal_bot_heartbeat_timestamp_seconds{BOT}": "60x40 615+15x40"},
        "5m",
        "11m",
    ),
    "ServiceDown": Case("rollback E", "15s", {f"portal_service_up{SERVICE}": "1 0x20 1x20"}, "4m", "6m"),
    "DeploymentFailed": Case(
        "verify E",
        "1m",
        {f'{ENDED}{{environment="production", kind="deployment", status="failed"}}': "_ _ 100x30"},
        "5m",
        "12m",
    ),
    "DeploymentSlow": Case(
        "cancel N", "15s", {'portal_deployment_running_seconds{environment="test"}': "0+15x40 stale"}, "6m", "11m"
    ),
    "RollbackOccurred": Case(
        "new release",
        "1m",
        {f'{ENDED}{{environment="test", kind="rollback", status="succeeded"}}': "_ 60x30"},
        "5m",
        "12m",
    ),
    "RollbacksRepeated": Case(
        "Lock the environment",
        "5m",
        {f'{ENDED}{{environment="test", kind="rollback", status="succeeded"}}': "_ _ _ 800 800 1300 1300 2000x20"},
        "40m",
        "100m",
    ),
    "NoRecentBackup": Case(
        "./manage.py backup --passphrase-file FILE",
        "1h",
        {
            'portal_rehearsal_timestamp_seconds{kind="backup.made"}': "0x60 219600x10",
            "portal_installed_timestamp_seconds": "0x80",
        },
        "50h",
        "62h",
    ),
    "DiskSpaceLow": Case(
        "storage prune",
        "1m",
        {
            'portal_disk_free_bytes{job="portal"}': "5x20 40x20",
            'portal_disk_size_bytes{job="portal"}': "100x40",
        },
        "6m",
        "22m",
    ),
    "ServerDrifted": Case("provision S", "15s", {f"portal_server_drift{BOT}": "0 1x9 0x20"}, "1m", "3m"),
    "QueueStuck": Case(
        "systemctl restart cytube-worker", "15s", {"portal_queue_oldest_seconds": "0+15x20 0x20"}, "3m", "6m"
    ),
    "WorkersSilent": Case(
        "systemctl restart cytube-worker",
        "15s",
        {'portal_cluster_silent_seconds{machine="ops-1", cluster="rescue"}': "0+30x20 0x20"},
        "5m",
        "6m",
    ),
    "PortalDown": Case("rollback E --inline", "15s", {'up{job="portal"}': "1 0x20 1x20"}, "2m", "6m"),
}


def test_every_alert_of_the_rules_has_its_way_through_its_section() -> None:
    assert set(CASES) == {rule["alert"] for rule in shipped.rules()} - shipped.ALWAYS
    for name, case in CASES.items():
        assert case.step in SECTIONS[name], name


@pytest.mark.monitoring
@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_and_is_over_after_the_last_step_of_its_section(name: str, tmp_path: Path) -> None:
    case, firing = CASES[name], f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    test = {
        "interval": case.interval,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": case.fires, "exp_samples": [{"labels": "{}", "value": 1}]},
            {"expr": firing, "eval_time": case.over, "exp_samples": []},
        ],
    }
    rules = [str(shipped.ROOT / "rules" / file) for file in shipped.FILES]
    document = {"rule_files": rules, "evaluation_interval": case.interval, "tests": [test]}
    (tmp_path / "case.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "case.yml")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
