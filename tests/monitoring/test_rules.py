"""Every rule fires when it should, keeps quiet when it should, and reads what really exists."""

import subprocess

import pytest

from deployments.execution.silences import EXPECTED
from tests.monitoring import rules as shipped

ASKED_FOR = {
    "BotDown": "critical",
    "BotDisconnected": "warning",
    "BotRestarting": "warning",
    "HighErrorRate": "warning",
    "CriticalErrorRate": "critical",
    "ChannelEmpty": "info",
    "HighResponseTime": "warning",
    "HighMemoryUsage": "warning",
    "MetricsStale": "warning",
    "ServiceDown": "critical",
    "DeploymentFailed": "critical",
    "DeploymentSlow": "warning",
    "RollbackOccurred": "warning",
    "RollbacksRepeated": "critical",
    "NoRecentBackup": "warning",
    "DiskSpaceLow": "warning",
    "ServerDrifted": "warning",
    "QueueStuck": "critical",
    "WorkersSilent": "warning",
    "PortalDown": "critical",
    "DeadMansSwitch": "none",
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_every_rule_that_was_asked_for_is_there_with_its_severity() -> None:
    assert {rule["alert"]: rule["labels"]["severity"] for rule in shipped.rules()} == ASKED_FOR


@pytest.mark.parametrize("name", shipped.FILES)
def test_every_rule_has_a_case_that_fires_and_one_that_is_quiet(name: str) -> None:
    cases = shipped.cases(name)
    names = {rule["alert"] for rule in shipped.rules(name)}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names - shipped.ALWAYS


@pytest.mark.monitoring
@pytest.mark.parametrize("name", shipped.FILES)
def test_promtool_agrees_with_every_case(name: str) -> None:
    done = promtool("test", "rules", str(shipped.ROOT / "tests" / name))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_happened_and_where_to_read_on() -> None:
    for rule in shipped.rules():
        assert rule["annotations"]["summary"].strip().endswith("."), rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_only_alerts_about_what_runs_can_roll_a_deployment_back() -> None:
    """A deployment that failed must not make the next one, which bakes, roll back."""
    for rule in shipped.rules("deployments.yml"):
        assert rule["labels"]["concerns"] == "deployment"
    for rule in (*shipped.rules("bots.yml"), *shipped.rules("services.yml")):
        assert "concerns" not in rule["labels"]


def test_what_a_deployment_silences_are_alerts_that_a_restart_can_look_like() -> None:
    down = {name for name, severity in ASKED_FOR.items() if name.endswith("Down") and severity == "critical"}
    assert down - {"PortalDown"} <= set(EXPECTED) <= set(ASKED_FOR)
