"""What every page asks of all bots, in columns, says what their whole rows say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerting.summary import Summary
from dashboard.models import Condition
from dashboard.selectors.bot_status import bot_statuses
from dashboard.selectors.bots import all_bots
from dashboard.selectors.overall_status import OverallStatus, overall_status
from deployments.models import Environment, Server
from tests.dashboard import records

Enrol = Callable[..., Server]


@pytest.mark.django_db
def test_columns_say_of_every_bot_what_its_row_says(enrol: Enrol) -> None:
    """Words, order, silence, goodbye, stopped on purpose or in spite of it, never deployed, retired, no bot at all."""
    release = records.release()
    here = Environment.objects.get(name="test")
    beyond = Environment.objects.create(name="test", application="other", order=7, shared_name=True)
    stopped = {"bot": True, "units": ["bot"]}
    places: list[tuple[str, dict[str, Any]]] = [("t", {"environment": here}), ("p", {}), ("o", {"environment": beyond})]
    for place, more in places:
        records.beat(enrol(f"{place}-well", current_release=release, **more))
        records.beat(enrol(f"{place}-out", current_release=release, **more), connected=False)
        records.beat(enrol(f"{place}-stale", current_release=release, **more), 40)
        records.beat(enrol(f"{place}-down", current_release=release, **more), 900)
        records.beat(enrol(f"{place}-bye", current_release=release, **more), 5, goodbye=True)
        records.beat(enrol(f"{place}-held", current_release=release, stopped=stopped, **more), 900)
        records.beat(enrol(f"{place}-against", stopped=stopped, **more))
        enrol(f"{place}-silent", current_release=release, **more)
        enrol(f"{place}-beside", stopped={"bot": False, "units": ["web"]}, **more)
        enrol(f"{place}-new", **more)
    enrol("gone", state=Server.State.RETIRED)
    enrol("watch", roles=["monitoring"])
    now = timezone.now()
    bots, columns = all_bots(now), bot_statuses(now)
    assert len(bots) == 30
    assert [
        (bot.server.pk, bot.name, bot.word, bot.condition, bot.on_purpose, bot.expected, str(bot.server.environment))
        for bot in bots
    ] == [(one.pk, one.name, one.word, one.condition, one.on_purpose, one.expected, one.environment) for one in columns]
    assert [(bot.server.environment.path, bot.server.environment.name) for bot in bots] == [
        (one.path, one.bare) for one in columns
    ]
    rows, read = overall_status(now, bots), overall_status(now)
    assert (rows.mood, rows.headline, rows.remarks) == (read.mood, read.headline, read.remarks)
    assert [bot.name for bot in rows.remarkable] == [bot.name for bot in read.remarkable]


@dataclass(frozen=True)
class _Incomparable:
    name: str
    condition: Condition | None = None
    on_purpose: bool = False
    expected: bool = False
    deployed: bool = False
    service: str = "bot"
    word: str = "Nothing deployed yet"

    def __eq__(self, other: object) -> bool:
        raise AssertionError("each bot would be compared with each other")

    __hash__ = object.__hash__


def test_no_bot_is_compared_with_every_other() -> None:
    """A thousand of which nothing is expected took half a second on every page."""
    found = OverallStatus([_Incomparable(f"new-{number}") for number in range(3)], Summary([], ""))
    assert (found.expected, len(found.idle), found.troubled) == (0, 3, [])
    assert found.headline == "Nothing has been deployed yet"


@pytest.mark.django_db
def test_the_frame_of_a_page_reads_no_document_of_a_server(enrol: Enrol) -> None:
    records.beat(enrol())
    with CaptureQueriesContext(connection) as queries:
        bot_statuses(timezone.now())
    asked = " ".join(query["sql"] for query in queries)
    for column in ("facts", "unit_files", "readiness", "configuration", "change_log"):
        assert f'"{column}"' not in asked, column
