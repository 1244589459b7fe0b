"""What a page lists is what there is: nothing is documented that has gone, beside the tests that nothing is left out.

Each kind has its table and its test. Settings, statuses: `test_documented`. Errors: `test_errors`. Audit events:
`tests/deployments/audit/test_events`. Roles, scopes: `tests/deployments/access/test_policy`. Chat commands:
`tests/botcore/test_commands`. Metrics: `tests/dashboard/test_operations`, `tests/botcore/test_health`. Alerts:
`tests/monitoring/test_exported`. Exit codes: `tests/deployments/management/test_exit_codes`.
"""

import re
from pathlib import Path

import pytest

from deployments.lifecycle import EXIT_CODES
from engine.errors import PortalError
from tests.monitoring import rules as shipped
from tests.project.raised import ROOT

DOCS = ROOT / "docs"
AROUND = {0, 124, 126, 127, 128, 130, 141}
"""Done; the waiting ended; what a command of `run` ended with; who read the output is gone."""


def _codes(error: type[PortalError]) -> set[int]:
    return {error.exit_code} | {code for each in error.__subclasses__() for code in _codes(each)}


def test_exit_codes() -> None:
    table = (DOCS / "command-line.md").read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d[\d, ]*)", table, re.MULTILINE)
    documented = {int(code) for row in rows for code in re.findall(r"\d+", row)}
    assert documented == {*EXIT_CODES.values(), *_codes(PortalError), *AROUND}


def test_alerts() -> None:
    documented = set(re.findall(r"^## (\w+)$", (DOCS / "runbook.md").read_text(), re.MULTILINE))
    assert documented == {rule["alert"] for rule in shipped.rules()} | {"MonitoringSilent"}


@pytest.mark.parametrize(
    ("page", "prefix", "room"), [("api.md", "portal_", "dashboard"), ("bot.md", "bot_", "botcore")]
)
def test_metrics(page: str, prefix: str, room: str) -> None:
    rows = re.findall(rf"^\| ((?:`{prefix}\w+`(?:, )?)+) \|", (DOCS / page).read_text(), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    code = "".join(path.read_text() for path in Path(ROOT / room).rglob("*.py"))
    assert len(documented) > 15
    bare = {name.removesuffix("_total").removesuffix("_info") for name in documented}
    gone = {name for name in bare if not re.search(rf'"{name}(?:_total)?"', code)}
    assert gone == set()


def test_the_figure_of_the_fault_matrix_in_the_lessons_is_that_of_its_last_run() -> None:
    cases = re.search(r"^(\d+) cases: ", (DOCS / "reliability.md").read_text(), re.MULTILINE)
    told = re.search(r"by itself: (\d+) cases", (DOCS / "lessons.md").read_text())
    assert cases is not None
    assert told is not None
    assert told[1] == cases[1]
