"""What must be one for a portal on several machines: the same requests at any of them, on one database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from deployments.http import limits
from deployments.models import Deployment, Release, RequestCount, Server
from tests.deployments.api.conftest import Caller

OnMachine = Callable[[str], None]


@pytest.fixture
def on_machine(tmp_path: Path, settings: Any) -> OnMachine:
    """`on_machine("two")`: from now on this process is one of that machine, whose files are its own."""

    def become(name: str) -> None:
        settings.STATE_DIR = tmp_path / name
        settings.STATE_DIR.mkdir(exist_ok=True)

    return become


@pytest.fixture
def one_count(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what only a database that machines share can count; no minute ends while a test counts."""
    monkeypatch.setattr(limits, "WINDOW_SECONDS", 10**9)
    if connection.vendor != "postgresql":
        pytest.skip("several machines need PostgreSQL")


def test_a_key_that_one_machine_has_seen_the_other_knows(
    on_machine: OnMachine, olga: Caller, test_server: Server, example: Release
) -> None:
    numbers = []
    for machine in ("one", "two", "one"):
        on_machine(machine)
        asked = {"environment": "test", "release": "1.0.0"}
        numbers.append(olga.post("/deployments", asked, **{"Idempotency-Key": "5f0c7a52"}).json()["number"])
    assert numbers == [Deployment.objects.get().pk] * 3


def test_guesses_at_all_machines_are_counted_together(
    one_count: None, on_machine: OnMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGERS", 3)
    answers = []
    for machine in ("one", "two", "one", "two", "two"):
        on_machine(machine)
        answers.append(Client().get("/api/v1/deployments", headers={"authorization": "Bearer cyop_guess"}).status_code)
    assert answers == [401, 401, 401, 429, 429]


def test_a_flood_at_one_machine_writes_no_more_than_its_limit(one_count: None, on_machine: OnMachine) -> None:
    on_machine("one")
    assert [limits.within("flood", 2, everywhere=True) for _ in range(9)] == [True] * 2 + [False] * 7
    assert RequestCount.objects.get().count == 2


def test_a_new_minute_begins_anew_and_old_ones_are_forgotten(one_count: None, on_machine: OnMachine) -> None:
    for machine in ("one", "two"):
        on_machine(machine)
        assert limits.within("guess", 2, everywhere=True)
    on_machine("three")
    assert not limits.within("guess", 2, everywhere=True)
    RequestCount.objects.update(minute=-9)
    assert limits.within("guess", 2, everywhere=True)
    assert RequestCount.objects.get().count == 1
    RequestCount.objects.update(minute=-9)
    limits.forget_old()
    assert not RequestCount.objects.exists()
