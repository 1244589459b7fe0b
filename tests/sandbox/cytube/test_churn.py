"""Synthetic crowds and load."""

import asyncio
from collections import Counter

import pytest

from sandbox.cytube import CytubeServer, UnknownName, churn
from tests.sandbox.cytube.conftest import Join

EVENTS = 5_000


async def test_churn_reaches_every_client_whole_and_leaves_nothing_behind(join: Join, server: CytubeServer) -> None:
    guest, owner = await join("Guesty"), await join("Owner")
    result = await churn(server, events=EVENTS, users=50)
    assert result.events >= EVENTS
    assert server.users == ["Guesty", "Owner"]
    for viewer in (guest, owner):
        await viewer.has_heard(EVENTS, deadline=30)
        kinds = Counter(each.event for each in viewer.heard)
        assert {"addUser", "userLeave", "chatMsg", "setUserMeta", "setAFK", "mediaUpdate"} <= set(kinds)


async def test_a_full_room_under_load_loses_nothing(join: Join, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    result = await churn(server, events=20_000, users=500)
    await viewer.has_heard(20_000, deadline=60)
    arrivals = [each.data["name"] for each in viewer.heard if each.event == "addUser"]
    assert len(arrivals) == len(set(arrivals)) > 500
    # 24,000 a second on two idle cores, half of them busy with the client
    assert result.per_second > 500


async def test_a_crowd_of_500_is_listed_and_counted(join: Join, server: CytubeServer) -> None:
    crowd = server.crowd()
    for number in range(500):
        crowd.enter(f"Crowd-{number}")
    viewer = await join("Guesty")
    users = next(each.data for each in viewer.heard if each.event == "userlist")
    assert len(users) == 500
    assert server.room().count() == 501
    server.kick("crowd-7", "out")
    assert await viewer.wait_for("userLeave") == {"name": "Crowd-7"}
    with pytest.raises(UnknownName):
        crowd.say("Crowd-7", "hello?")


async def test_churn_survives_a_kick_and_a_client_that_goes(join: Join, server: CytubeServer) -> None:
    stays, goes = await join("Owner"), await join("Goes")
    load = asyncio.create_task(churn(server, events=EVENTS, users=3, rate=20_000))
    await stays.wait_for("chatMsg", lambda line: line["username"].startswith("Crowd-"))
    for name in server.crowd().names:
        server.kick(name)
    await goes.leave()
    assert (await load).events >= EVENTS


async def test_a_rate_is_kept(server: CytubeServer) -> None:
    result = await churn(server, events=1_000, users=10, rate=5_000)
    assert result.seconds >= 0.15
