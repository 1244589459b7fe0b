"""Servers that answer late hold some threads of the web process, and never all of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.urls import reverse

from deployments.http import server_slots
from deployments.http.limits import TooManyRequests
from deployments.models import Server
from portal import gunicorn
from tests.deployments.world import World


@contextmanager
def many_wait() -> Iterator[None]:
    """As many as may wait for servers do."""
    done, waiting = threading.Event(), threading.Barrier(server_slots.AT_ONCE + 1)

    def wait() -> None:
        with server_slots.server_slot():
            waiting.wait(10)
            done.wait(30)

    threads = [threading.Thread(target=wait) for _ in range(server_slots.AT_ONCE)]
    for each in threads:
        each.start()
    waiting.wait(10)
    try:
        yield
    finally:
        done.set()
        for each in threads:
            each.join(10)


def test_half_of_the_threads_answer_everybody_else() -> None:
    assert gunicorn.threads // 2 >= server_slots.AT_ONCE


@pytest.mark.parametrize("asked", ["journal", "status", "backups", "page"])
def test_one_more_is_told_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(server_slots, "TIMEOUT_SECONDS", 0.01)
    world.succeeded(world.releases[0])
    server = Server.objects.get(environment=world.production)
    with many_wait():
        if asked == "page":
            answer: Any = world.client("operator").get(reverse("journal", args=[server.name]))
        else:
            answer = world.api("operator", "get", f"/servers/{server.name}/{asked}")
    assert answer.status_code == 429


def test_a_turn_is_given_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_slots, "TIMEOUT_SECONDS", 0.01)
    for _ in range(server_slots.AT_ONCE + 1):
        with pytest.raises(ValueError, match="broken"), server_slots.server_slot():
            raise ValueError("broken")
    with many_wait(), pytest.raises(TooManyRequests), server_slots.server_slot():
        pass
