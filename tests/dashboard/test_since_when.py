"""A bot's page claims since when it is what it is for as long as that is known."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from deployments.models import Server
from tests.dashboard import records
from tests.deployments.admin.test_pages import text_of

DAYS_20 = 20 * 86400


@pytest.mark.parametrize("silence", [45, 180], ids=["stale", "down"])
def test_a_silent_bot_was_heard_last_and_is_not_so_since_it_entered_its_room(
    silence: int, anyone: Client, enrol: Callable[..., Server]
) -> None:
    server = enrol()
    for ago in range(silence + 50, silence - 1, -10):
        state = records.beat(server, ago, uptime=DAYS_20 - ago)
    type(state).objects.update(changed_at=state.heard_at.replace(year=state.heard_at.year - 1))
    page = text_of(anyone.get("/bots/prod-1/").content.decode())
    assert "Production · last heard" in page
    assert "· for" not in page


def test_a_process_that_began_just_now_is_in_its_room_since_just_now(
    anyone: Client, enrol: Callable[..., Server]
) -> None:
    server = enrol()
    state = records.beat(server, 20, uptime=DAYS_20)
    type(state).objects.update(changed_at=state.heard_at.replace(year=state.heard_at.year - 1))
    assert "Production · for 0 s" not in text_of(anyone.get("/bots/prod-1/").content.decode())
    records.beat(server, uptime=5)
    assert re.search(r"Production · for \d+ s", text_of(anyone.get("/bots/prod-1/").content.decode()))
