"""What a scrape counts of the whole history is counted on an index alone, on both databases: no row is read."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import filling
from dashboard.metrics import PortalCollector
from dashboard.portal_metrics import PortalStateCollector

pytestmark = pytest.mark.django_db
SIZE = filling.Size(environments=2, servers=2, people=2, releases=4, deployments=40, lines=0, alerts=0, events=0)
WHOLE = ("deployments_deployment", "deployments_notificationdelivery")


def counted() -> Iterator[str]:
    """The statements of a scrape that count one of these tables by groups."""
    with CaptureQueriesContext(connection) as asked:
        for collector in (PortalCollector(), PortalStateCollector()):
            list(collector.collect())
    for query in asked:
        if "GROUP BY" in query["sql"] and any(f'FROM "{table}"' in query["sql"] for table in WHOLE):
            yield query["sql"]


def plan_of(statement: str) -> str:
    """How the database would answer from its indexes; a table this small it reads at once."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        else:
            for way in ("seqscan", "bitmapscan", "indexscan"):  # left is an index alone
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def test_the_history_is_counted_on_an_index_alone() -> None:
    filling.fill(SIZE)
    word = "COVERING INDEX" if connection.vendor == "sqlite" else "Index Only Scan"
    statements = list(counted())
    assert len(statements) == len(WHOLE)
    for statement in statements:
        assert word in (plan := plan_of(statement)), f"{statement}\n{plan}"
