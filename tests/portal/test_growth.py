"""Every page, list of the API and command costs the same whatever has been: statements and work of the database.

One database is filled three times: a little, then ten times the history, then ten times the fleet. With more history
nothing may take more statements nor more work; with more servers and environments pages may show more, never ask more.
Work is counted in instructions of SQLite's virtual machine, which no other process on the machine changes.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from alerting import selectors as alerts
from benchmarks import filling
from dashboard.readiness import conditions
from dashboard.readiness.rows import Row, Verdict
from dashboard.selectors import history
from deployments.admin import audit, lists
from deployments.admin.base import PortalAdmin
from deployments.models import Environment, LogLine
from tests.fixtures.records import hand_token

SMALL = filling.Size(
    environments=3, servers=3, people=3, releases=120, deployments=120, lines=2200, alerts=120, events=1200
)
MORE_HISTORY = SMALL.history_times(10)
MORE_FLEET = replace(MORE_HISTORY, deployments=MORE_HISTORY.deployments + 600).fleet_times(10)
"""With so much more history that each of the new environments has some."""
STEP = 100  # instructions between two calls of the progress handler: the unit of work
SLACK = 30
PAGES = [
    "/",
    "/?environment=place-2",
    "/?bot=server-1&part=live",
    "/bots/server-1/",
    "/deployments/",
    "/deployments/?environment=place-2&status=failed",
    "/deployments/?q=nobody-said-this",
    "/deployments/?kind=rollback",
    "/deployments/NEWEST/",
    "/deployments/NEWEST/?part=live",
    "/deployments/1/log?after=0",
    "/statistics/",
    "/alerts/",
    "/alerts/?q=nothing-of-this",
    "/alerts/?status=firing",
    "/alerts/1/",
    "/silences/",
    "/readiness/",
    "/healthz",
    "/start/",
    "/deployments/1/log.txt",
    "/admin/",
    "/admin/deployments/deployment/",
    "/admin/deployments/deployment/?q=nobody",
    "/admin/deployments/deployment/?status__exact=failed",
    "/admin/deployments/deployment/?break_glass__exact=1",
    "/admin/deployments/environment/",
    "/admin/deployments/environment/1/change/",
    "/admin/deployments/server/",
    "/admin/deployments/server/1/change/",
    "/admin/deployments/release/",
    "/admin/deployments/release/1/change/",
    "/admin/deployments/release/?q=nobody",
    "/admin/deployments/auditevent/",
    "/admin/deployments/auditevent/?q=nobody",
    "/admin/deployments/auditevent/?subject=deployment:7",
    "/admin/deployments/auditevent/?kind=session",
    "/admin/deployments/auditevent/7/change/",
    "/admin/deployments/policychange/",
    "/admin/auth/user/",
    "/admin/deployments/apitoken/",
    "/admin/deployments/signingkey/",
    "/admin/deployments/workflowbinding/",
    "/admin/deployments/notificationchannel/",
    "/admin/deployments/notificationdelivery/",
    "/admin/deployments/notificationdelivery/?state__exact=failed",
    "/admin/deployments/clusterbeat/",
    "/admin/django_q/ormq/",
    "/admin/django_q/success/",
    "/admin/django_q/failure/",
    "/admin/django_q/schedule/",
    "/admin/account/",
    "/api/v1/environments",
    "/api/v1/servers",
    "/api/v1/bots",
    "/api/v1/deployments",
    "/api/v1/deployments?status=failed",
    "/api/v1/deployments/NEWEST",
    "/api/v1/releases",
    "/api/v1/audit",
    "/api/v1/audit?actor=person-1",
    "/api/v1/alerts",
    "/api/v1/alerts?status=resolved",
    "/metrics",
    "/api/prometheus/targets",
]
WINDOWS: list[tuple[Any, str]] = [
    (lists, "MOST"),
    (lists, "SEARCHED"),
    (audit, "MOST"),
    (history, "SEARCHED"),
    (alerts, "SEARCHED"),
    (conditions, "MOST_COUNTED"),
]
COMMANDS = [
    ("history",), ("history", "test"), ("history", "--format", "json"), ("history", "--limit", "200"),
    ("history", "--format", "changelog"), ("releases",), ("releases", "--json"), ("readiness",), ("audit", "verify"),
    ("storage",),
]  # fmt: skip

EVERYTHING = {
    "/metrics": "counts what ended and what was sent, on an index",
    "manage.py history --format changelog": "prints every version",
    "manage.py releases": "prints every release",
    "manage.py releases --json": "prints every release",
    "/statistics/": "counts every deployment of twelve weeks in the environments it shows, on an index",
    "/readiness/": "judges every deployment of ninety days",
    "manage.py readiness": "judges every deployment of ninety days",
    "manage.py audit verify": "verifies every event",
    "manage.py storage": "counts what there is, and says of every release why it is kept",
}
"""What is as long as its history, and why."""
FLEET = [
    "/metrics",
    "/admin/deployments/environment/",
    "/api/v1/environments",
    "/api/v1/servers",
    "/api/v1/bots",
]
"""What says a few things of each environment and server."""


@dataclass
class Cost:
    """What one request asked of the database."""

    statements: dict[str, int]
    work: int = 0
    asked: int = 0
    rows: int = 0


@pytest.fixture(scope="module")
def costs(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, list[Cost]]]:
    """Of each request: with little, with ten times the history, with ten times the fleet."""
    found: dict[str, list[Cost]] = {}
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # which WhiteNoise asks for
    with django_db_blocker.unblock():
        if connection.vendor != "sqlite":
            pytest.skip("work is counted by SQLite")
        with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
            _small_windows(patch)
            ask = _asking()
            for size in (SMALL, MORE_HISTORY, MORE_FLEET):
                Environment.objects.filter(name="new").delete()
                filling.fill(size)
                Environment.objects.create(name="new", order=500)  # nothing was deployed there: no way back
                for name, request in ask.items():
                    request()  # what is asked once in a process is asked
                    found.setdefault(name, []).append(_cost(request))
            transaction.set_rollback(True)
        yield found


def _small_windows(patch: pytest.MonkeyPatch) -> None:
    """Only so many of the newest rows are counted, searched and measured: fewer here, so that a small fill has more."""
    # what a bot said is remembered for a second, whatever else is asked
    patch.setattr(conditions, "health", lambda _bots: Row("3", "", Verdict.PASS, "", "", ""))
    patch.setattr(PortalAdmin, "list_per_page", 10)
    for module, name in WINDOWS:
        patch.setattr(module, name, 30)


def _asking() -> dict[str, Callable[[], object]]:
    admin = User.objects.create_superuser("growth")
    member = Client(raise_request_exception=True)
    member.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    bearer = {"authorization": f"Bearer {hand_token(admin, 'growth')}"}

    def page(url: str) -> Callable[[], object]:
        def request() -> object:
            newest = LogLine.objects.order_by("-pk").values_list("deployment", flat=True)[0]
            api = url.startswith(("/api/", "/metrics"))
            answer = (Client() if api else member).get(
                url.replace("NEWEST", str(newest)), headers=bearer if api else {}
            )
            assert answer.status_code == 200, (url, answer.status_code)
            return answer.getvalue()

        return request

    def command(words: tuple[str, ...]) -> Callable[[], object]:
        def run() -> None:
            with contextlib.suppress(SystemExit):
                call_command(*words, stdout=io.StringIO(), stderr=io.StringIO())

        return run

    return {url: page(url) for url in PAGES} | {f"manage.py {' '.join(words)}": command(words) for words in COMMANDS}


def _cost(request: Callable[[], object]) -> Cost:
    cost = Cost({})

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        before = cost.work
        try:
            return execute(sql, params, many, context)
        finally:
            cost.asked += 1
            cost.statements[sql] = cost.statements.get(sql, 0) + cost.work - before

    def stepped() -> None:
        cost.work += 1

    def read(_: object, row: tuple[Any, ...]) -> tuple[Any, ...]:
        cost.rows += 1
        return row

    with connection.execute_wrapper(count):
        connection.connection.set_progress_handler(stepped, STEP)
        connection.connection.row_factory = read
        try:
            request()
        finally:
            connection.connection.set_progress_handler(None, STEP)
            connection.connection.row_factory = None
    return cost


NAMES = [*PAGES, *(f"manage.py {' '.join(words)}" for words in COMMANDS)]


@pytest.mark.parametrize("name", NAMES)
def test_more_history_costs_nothing_more(costs: dict[str, list[Cost]], name: str) -> None:
    little, much, _ = costs[name]
    assert much.asked == little.asked, _more(little, much)
    if name not in EVERYTHING:
        assert much.work <= 1.5 * little.work + SLACK, _more(little, much)


@pytest.mark.parametrize("name", EVERYTHING)
def test_ten_times_the_history_is_no_more_than_ten_times_the_work(costs: dict[str, list[Cost]], name: str) -> None:
    little, much, _ = costs[name]
    assert much.work <= 12 * little.work + SLACK, _more(little, much)


@pytest.mark.parametrize("name", FLEET)
def test_a_page_of_the_fleet_reads_no_more_rows_with_more_history(costs: dict[str, list[Cost]], name: str) -> None:
    little, much, _ = costs[name]
    assert much.rows <= little.rows + 10, f"{little.rows} → {much.rows} rows read"


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_fleet_is_read_at_once(costs: dict[str, list[Cost]], name: str) -> None:
    _, few, many = costs[name]
    assert many.asked <= few.asked, _more(few, many)


def _more(before: Cost, after: Cost) -> str:
    """Each statement that grew, with its work before and after."""
    grown = [
        f"{before.statements.get(sql, 0)} → {work}: {sql[sql.find(' FROM ') :][:600]}"
        for sql, work in after.statements.items()
        if work > 1.5 * before.statements.get(sql, 0) + 5
    ]
    return "\n".join([f"{before.asked} → {after.asked} statements, work {before.work} → {after.work}", *grown])
