"""What a deployment costs the database: it is one machine's, however many workers share it."""

import pytest

from deployments.execution import recorder
from deployments.execution.run import execute
from deployments.lifecycle import Status
from tests.deployments.execution.conftest import Scene
from tests.fixtures.statements import counted

SERVERS = ("three", "four", "five", "six", "seven", "eight")
LINES, MOST = 12, 120


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
