"""The shipped rules, and their promtool cases, as data."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent / "monitoring"
FILES = sorted(path.name for path in (ROOT / "rules").glob("*.yml"))
ALWAYS = {"DeadMansSwitch"}  # it has no quiet case: it fires always
_SERIES = re.compile(r"\b((?:bot|portal|process|scrape)_[a-z0-9_]+|up)\b")
_TEXT = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)")


def rules(name: str = "") -> list[dict[str, Any]]:
    """Every alerting rule, or those of one file."""
    files = [name] if name else FILES
    return [
        rule
        for file in files
        for group in yaml.safe_load((ROOT / "rules" / file).read_text())["groups"]
        for rule in group["rules"]
    ]


def cases(name: str) -> list[dict[str, Any]]:
    """Every alert_rule_test of the file of cases that belongs to a file of rules."""
    document = yaml.safe_load((ROOT / "tests" / name).read_text())
    return [case for test in document["tests"] for case in test["alert_rule_test"]]


def metrics_used() -> set[str]:
    """The names of all metrics that any rule reads."""
    return {name for rule in rules() for name in metrics_in(str(rule["expr"]))}


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics in one expression."""
    return set(_SERIES.findall(_LABELS.sub("", _TEXT.sub("", expression))))
