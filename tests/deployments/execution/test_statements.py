"""What a deployment costs the database: it is one machine's, however many workers share it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from deployments.execution import recorder
from deployments.execution.run import execute
from deployments.lifecycle import Status
from tests.deployments.execution.conftest import Scene

SERVERS = ("three", "four", "five", "six", "seven", "eight")
LINES, MOST = 12, 120


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Every statement of every thread, those that open and end transactions included."""
    found: Counter[str] = Counter()
    lock = threading.Lock()

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        with lock:
            found[" ".join(sql.split())[:110]] += 1
        return execute(sql, params, many, context)

    def listen(connection: Any, **_: object) -> None:
        if count not in connection.execute_wrappers:  # a connection that is opened again
            connection.execute_wrappers.append(count)

    connection_created.connect(listen)
    try:
        with connection.execute_wrapper(count):
            yield found
    finally:
        connection_created.disconnect(listen)


def test_eight_servers_take_at_most_120_statements(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # how often what was said is stored is a matter of time, and this machine's may be a busy one's
    monkeypatch.setattr(recorder, "GATHER_SECONDS", 5 * recorder.GATHER_SECONDS)
    scene.add(*SERVERS)
    row = scene.ask()
    with counted() as found:
        execute(row.pk)
    row.refresh_from_db()
    assert row.status == Status.SUCCEEDED, row.sentence
    assert row.log_lines.count() >= LINES
    assert sum(found.values()) <= MOST, "\n".join(f"{count:4} {sql}" for sql, count in found.most_common(60))


def test_a_request_of_eight_servers_asks_no_more_than_one_of_two(scene: Scene) -> None:
    with counted() as of_two:
        row = scene.ask()
    row.delete()
    scene.add(*SERVERS)
    with counted() as of_eight:
        scene.ask()
    assert sum(of_eight.values()) == sum(of_two.values()), of_eight - of_two
