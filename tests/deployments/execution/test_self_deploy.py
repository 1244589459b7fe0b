"""When a worker lets go of its own server, and keeps no connection while it waits for others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from deployments.core import read_only
from deployments.execution.run import restarts_us
from deployments.execution.side_by_side import let_the_database_go, side_by_side
from deployments.snapshot import SealedTarget
from tests.fixtures.records import HOST_KEY

BEGINS = {"kind": "step", "step": "restart", "state": "begin"}
OURS = SealedTarget(server="ops-1", roles=("portal", "bot"), host_key=HOST_KEY)


@pytest.fixture(autouse=True)
def this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sshd has this key, with a comment."""
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{HOST_KEY} root@ops\n")
    monkeypatch.setattr(read_only, "HOST_KEYS", tmp_path)


def test_the_restart_of_our_own_units_ends_this_worker() -> None:
    assert restarts_us(OURS, BEGINS)


@pytest.mark.parametrize(
    "record",
    [
        BEGINS | {"kind": "log"},
        BEGINS | {"kind": "result"},
        BEGINS | {"step": "verify"},
        BEGINS | {"state": "ok"},
        {"step": "restart", "state": "begin"},
    ],
)
def test_nothing_else_that_the_agent_says_does(record: dict[str, Any]) -> None:
    assert not restarts_us(OURS, record)


@pytest.mark.parametrize("change", [{"roles": ("bot",)}, {"host_key": HOST_KEY[:-2] + "xx"}])
def test_nor_the_restart_of_another_server(change: dict[str, Any]) -> None:
    assert not restarts_us(OURS.model_copy(update=change), BEGINS)


def test_one_of_many_threads_lets_its_connection_go_and_a_lone_one_keeps_it(transactional_db: None) -> None:
    def after(wait: Callable[[], None]) -> bool:
        connection.ensure_connection()
        wait()
        return connection.connection is not None

    def in_a_transaction() -> None:
        with transaction.atomic():
            let_the_database_go()

    assert side_by_side([lambda: after(let_the_database_go)]) == [True], "alone, in this thread"
    assert side_by_side([lambda: after(let_the_database_go), lambda: after(in_a_transaction)]) == [False, True]
    assert after(let_the_database_go), "what threads did beside is none of this one's"
