#!/usr/bin/env python3
"""Writes the configuration of Prometheus and Alertmanager from one small file of settings.

It runs where they run: Python standard library alone, Python >= 3.11.

    render.py --settings monitoring.json [--secrets DIR] [--into DIR] [--check]

`--settings` is monitoring/settings.json with an environment's own values. `--secrets` has the files that the
configuration names and never contains: `monitoring-token` (asks the portal and delivers to it), `mail-password` when
mail has a user name, and `slack-url` when Slack has a channel; without it they are where systemd puts credentials.
`--into` gets prometheus.yml and alertmanager.yml (both JSON, which is YAML); without it nothing is kept. `--check` has
promtool and amtool look at them.

Exit codes: 0 written; 1 promtool or amtool refused it, and said why; 2 the settings cannot be used.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
TOKEN, MAIL_PASSWORD, SLACK_URL = "monitoring-token", "mail-password", "slack-url"
DEAD_MANS_SWITCH = "DeadMansSwitch"
# A cause hides its consequences: on the same bot, and a whole portal that is away hides what only it can know.
INHIBITIONS = (
    ("BotDown", ("BotDisconnected", "ChannelEmpty", "MetricsStale", "HighResponseTime")),
    ("BotDisconnected", ("ChannelEmpty",)),
    ("CriticalErrorRate", ("HighErrorRate",)),
)
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhd]))+")
_LISTEN = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")
_MAIL = re.compile(r"[^@\s,]+@[^@\s,]+")


class BadSettings(Exception):
    """The settings cannot be used; the text says which, and what to write instead."""


def check(settings: dict[str, Any]) -> None:
    """Raise BadSettings naming everything that cannot be used."""
    shipped = json.loads((HERE / "settings.json").read_text())
    wrong = [f"{name!r} is no setting" for name in sorted(_names(settings) - _names(shipped))]
    wrong += [f"{name!r} is missing" for name in sorted(_names(shipped) - _names(settings))]
    if wrong:
        raise BadSettings("; ".join(wrong) + ". monitoring/settings.json shows every one.")
    portal = urlsplit(settings["portal"]["url"])
    if portal.scheme not in ("http", "https") or not portal.hostname:
        wrong.append("portal.url must begin with http:// or https://")
    for name in ("prometheus", "alertmanager"):
        if not _LISTEN.fullmatch(settings[name]["listen"]):
            wrong.append(f"{name}.listen must be ADDRESS:PORT")
    durations = {"prometheus.interval": settings["prometheus"]["interval"]} | {
        f"waits.{name}": value for name, value in settings["waits"].items()
    }
    wrong += [f"{name} must be a duration such as 15s" for name, value in durations.items() if not _fits(value)]
    mail = settings["mail"]
    if mail["to"]:
        wrong += [f"mail.{name} must be an address" for name in ("to", "from") if not _MAIL.fullmatch(mail[name])]
        if not _LISTEN.fullmatch(mail["smarthost"]):
            wrong.append("mail.smarthost must be HOST:PORT")
    if wrong:
        raise BadSettings("; ".join(wrong) + ".")


def prometheus(settings: dict[str, Any], secrets: Path, rules: Path) -> dict[str, Any]:
    """Prometheus' configuration: what it scrapes, which rules it applies, where alerts go."""
    portal = urlsplit(settings["portal"]["url"])
    token = {"type": "Bearer", "credentials_file": str(secrets / TOKEN)}
    interval = settings["prometheus"]["interval"]
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": _shorter(interval)},
        "rule_files": [str(rules / "*.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [settings["alertmanager"]["listen"]]}]}]},
        "scrape_configs": [
            {
                "job_name": "bots",
                "http_sd_configs": [
                    {
                        "url": f"{settings['portal']['url'].rstrip('/')}/api/prometheus/targets",
                        "refresh_interval": interval,
                        "authorization": token,
                    }
                ],
                # of a service that is no bot nobody promised metrics: no rule about bots reads what it has
                "relabel_configs": [
                    {"source_labels": ["role"], "regex": "service", "target_label": "job", "replacement": "services"}
                ],
            },
            {
                "job_name": "portal",
                # what it says about environments and servers is about those, not about itself
                "honor_labels": True,
                "scheme": portal.scheme,
                "metrics_path": f"{portal.path.rstrip('/')}/metrics",
                "authorization": token,
                "static_configs": [{"targets": [_with_port(portal.hostname, portal.port, portal.scheme)]}],
            },
            *(
                {"job_name": name, "static_configs": [{"targets": [settings[name]["listen"]]}]}
                for name in ("prometheus", "alertmanager")
            ),
        ],
    }


def alertmanager(settings: dict[str, Any], secrets: Path) -> dict[str, Any]:
    """Alertmanager's configuration: how alerts are grouped, what hides what, and whom they reach.

    Groups by alert and environment. Critical alerts wait for nothing; they repeat after 4 hours, warnings after 12,
    the rest after 24. Every receiver is told of the end as well. Secrets are named by their files.
    """
    waits = settings["waits"]
    by_severity = [
        _route("critical", waits["repeat_critical"], group_wait="0s"),
        _route("warning", waits["repeat_warning"]),
    ]
    people = {"name": "people", "webhook_configs": [_portal(settings, secrets)], **_mail(settings["mail"], secrets)}
    if settings["slack"]["channel"]:
        people["slack_configs"] = [_slack(settings["slack"], secrets)]
    return {
        "global": {"resolve_timeout": waits["resolve"]},
        "route": {
            "receiver": "people",
            "group_by": ["alertname", "environment"],
            "group_wait": waits["group_wait"],
            "group_interval": waits["group_interval"],
            "repeat_interval": waits["repeat_info"],
            "routes": [
                {
                    "matchers": [f'alertname = "{DEAD_MANS_SWITCH}"'],
                    "receiver": "dead-mans-switch",
                    "group_wait": "0s",
                    "group_interval": waits["dead_mans_switch"],
                    "repeat_interval": waits["dead_mans_switch"],
                },
                *by_severity,
            ],
        },
        "inhibit_rules": [_inhibition(cause, consequences) for cause, consequences in INHIBITIONS],
        "receivers": [
            people,
            {"name": "dead-mans-switch", "webhook_configs": [_portal(settings, secrets)]},
        ],
    }


def _inhibition(cause: str, consequences: Sequence[str]) -> dict[str, Any]:
    return {
        "source_matchers": [f'alertname = "{cause}"'],
        "target_matchers": [f'alertname =~ "{"|".join(consequences)}"'],
        "equal": ["environment", "server"],
    }


def _route(severity: str, repeat: str, **more: str) -> dict[str, Any]:
    return {"matchers": [f'severity = "{severity}"'], "receiver": "people", "repeat_interval": repeat, **more}


def _portal(settings: dict[str, Any], secrets: Path) -> dict[str, Any]:
    return {
        "url": f"{settings['portal']['url'].rstrip('/')}/api/alerts/alertmanager",
        "send_resolved": True,
        "max_alerts": 500,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(secrets / TOKEN)}},
    }


def _mail(mail: dict[str, Any], secrets: Path) -> dict[str, Any]:
    if not mail["to"]:
        return {}
    user = {"auth_username": mail["username"], "auth_password_file": str(secrets / MAIL_PASSWORD)}
    return {
        "email_configs": [
            {
                "to": mail["to"],
                "from": mail["from"],
                "smarthost": mail["smarthost"],
                "require_tls": mail["require_tls"],
                "send_resolved": True,
                "headers": {
                    "Subject": '[{{ .Status | toUpper }}{{ if eq .Status "firing" }} {{ .Alerts.Firing | len }}'
                    "{{ end }}] {{ .GroupLabels.alertname }} {{ .GroupLabels.environment }}"
                },
                "html": "",
                "text": TEXT,
                **(user if mail["username"] else {}),
            }
        ]
    }


def _slack(slack: dict[str, Any], secrets: Path) -> dict[str, Any]:
    return {
        "api_url_file": str(secrets / SLACK_URL),
        "channel": slack["channel"],
        "send_resolved": True,
        "color": '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}',
        "title": "{{ .Status | toUpper }} {{ .GroupLabels.alertname }} {{ .GroupLabels.environment }}",
        "text": TEXT,
    }


TEXT = (
    "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\n"
    'since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC'
    '{{ if eq .Status "resolved" }}, until {{ .EndsAt.UTC.Format "2006-01-02 15:04:05" }} UTC{{ end }}\n'
    "{{ .Annotations.runbook }}\n\n{{ end }}"
)


def _names(table: dict[str, Any]) -> set[str]:
    inner = {f"{name}.{key}" for name, value in table.items() if isinstance(value, dict) for key in value}
    return inner | set(table)


def _fits(value: object) -> bool:
    return isinstance(value, str) and _DURATION.fullmatch(value) is not None


def _shorter(interval: str) -> str:
    """A scrape must end before the next begins: 10 s at most, and never longer than the interval."""
    factors = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    seconds = sum(float(n) * factors[unit] for n, unit in re.findall(r"([0-9]+)(ms|[smhd])", interval))
    return interval if seconds <= 10 else "10s"


def _with_port(host: str | None, port: int | None, scheme: str) -> str:
    named = f"[{host}]" if host and ":" in host else str(host)
    return f"{named}:{port or (443 if scheme == 'https' else 80)}"


def write(settings: dict[str, Any], secrets: Path, into: Path) -> None:
    """Put both files where the programs look for them."""
    for name, document in (
        ("prometheus.yml", prometheus(settings, secrets, HERE / "rules")),
        ("alertmanager.yml", alertmanager(settings, secrets)),
    ):
        (into / name).write_text(json.dumps(document, indent=2) + "\n")


def ask_the_tools(into: Path) -> str:
    """What promtool and amtool have against the files; "" when nothing, or when a tool is not installed."""
    said = []
    for command in (
        ["promtool", "check", "config", str(into / "prometheus.yml")],
        ["amtool", "check-config", str(into / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            said.append(f"{' '.join(command)}\n{done.stdout}{done.stderr}".strip())
    return "\n".join(said)


def main(argv: list[str] | None = None) -> int:
    """Write the files; see the module."""
    parser = argparse.ArgumentParser(description="Write the configuration of Prometheus and Alertmanager.")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, default=Path(os.environ.get("CREDENTIALS_DIRECTORY", ".")))
    parser.add_argument("--into", type=Path)
    parser.add_argument("--check", action="store_true", help="have promtool and amtool look at them")
    options = parser.parse_args(argv)
    try:
        settings = json.loads(options.settings.read_text())
        check(settings)
    except (OSError, ValueError, KeyError, TypeError, BadSettings) as error:
        sys.stderr.write(f"{options.settings} cannot be used: {error}\n")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        into = options.into or Path(scratch)
        write(settings, options.secrets.absolute(), into)
        wrong = ask_the_tools(into) if options.check else ""
    sys.stderr.write(f"{wrong}\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
