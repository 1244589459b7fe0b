"""Nothing that lies in the queue's tables is run because somebody reads it."""

import pickle
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, Success, Task

from deployments.core import queueing, task_values
from tests.deployments.world import World

pytestmark = pytest.mark.django_db


class Armed:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._path, "run")


def encoded(value: object) -> str:
    return b64encode(pickle.dumps(value)).decode()


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    return tmp_path / "trap"


@pytest.fixture(params=[True, False], ids=["success", "failure"])
def planted(request: pytest.FixtureRequest, trap: Path) -> Task:
    """A finished task whose columns somebody with a hand in the database has written."""
    now = timezone.now()
    row: Task = Task.objects.create(
        id="0" * 32, name="planted", func="a.b", started=now, stopped=now, success=request.param, group="beat-default"
    )
    value = encoded(Armed(trap))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = %s, kwargs = %s, result = %s", [value, value, value])
    return row


def test_a_finished_task_that_is_opened_or_listed_runs_nothing(world: World, planted: Task, trap: Path) -> None:
    kind = "success" if planted.success else "failure"
    listed = world.client("administrator").get(reverse(f"admin:django_q_{kind}_changelist"))
    opened = world.client("administrator").get(reverse(f"admin:django_q_{kind}_change", args=[planted.pk]))
    assert (listed.status_code, opened.status_code) == (200, 200)
    assert task_values.NOT_SHOWN in opened.content.decode()
    assert not trap.exists()


def test_no_way_to_read_a_task_runs_it(planted: Task, trap: Path) -> None:
    for model in (Task, Success, Failure):
        list(model.objects.all())
        list(model.objects.values("result", "args"))
    Task.get_result(planted.pk)
    planted.refresh_from_db()
    queueing.forget_old_beats()
    task = Task.objects.get(pk=planted.pk)
    task.save()
    task.delete()  # as the library does with the oldest
    assert not trap.exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((5,), "5"),
        ("Traceback (most recent call last):\n  …", "Traceback (most recent call last):\n  …"),
        (None, "None"),
        ({"wait": 2.5, "all": True}, "wait, 2.5, all, True"),
        ((), ""),
        ({1, 2}, task_values.NOT_SHOWN),
        (Path("/"), task_values.NOT_SHOWN),
    ],
)
def test_plain_values_are_shown(value: object, text: str) -> None:
    assert task_values.plain(encoded(value)) == text


@pytest.mark.parametrize("stored", ["", "é", "not base64", encoded("x")[:-8], "A" * 99_996, "A" * 1_000_000])
def test_what_is_no_pickle_is_not_shown(stored: str) -> None:
    assert task_values.plain(stored).startswith("(not shown")


def test_results_are_shown_as_they_were_stored(world: World) -> None:
    now = timezone.now()
    row = Task.objects.create(
        id="1" * 32, name="n", func="a.b", started=now, stopped=now, success=False, args=(7,), result="it broke here"
    )
    page = world.client("administrator").get(reverse("admin:django_q_failure_change", args=[row.pk])).content.decode()
    assert "it broke here" in page
