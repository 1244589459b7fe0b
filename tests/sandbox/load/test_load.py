"""Life in a room: right answers, wrong ones, and what is never loaded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from botcore.commands import REGISTRY
from sandbox.cytube import CytubeServer, ServerConfig
from sandbox.cytube.config import DEMO_MEDIA
from sandbox.load import cli, moderator
from sandbox.load import life as life_of
from sandbox.load.control import Control, NotToBeLoaded, refuse_public
from sandbox.load.life import RAID_PEOPLE, Life, Pace
from sandbox.load.moderator import Interrupted, Moderator, Tally
from sandbox.load.questions import COMMANDS, Question, rounds
from tests.botcore.running import CHANNEL, NAME, Running, running, settings_for, until

AT_ONCE = Pace(people=12, density=600.0, typing=0.0)


@pytest.fixture
async def server() -> AsyncIterator[CytubeServer]:
    async with CytubeServer(ServerConfig(login_cost=4, media=DEMO_MEDIA)) as found:
        yield found


@pytest.fixture
async def bot(server: CytubeServer, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(settings_for(server, tmp_path, response_timeout=3.0)) as found:
        await found.in_room()
        yield found


@pytest.fixture
async def control(server: CytubeServer) -> AsyncIterator[Control]:
    async with Control(server.url, CHANNEL) as found:
        yield found


@contextlib.asynccontextmanager
async def lived(life: Life) -> AsyncIterator[None]:
    task = asyncio.create_task(life.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_round_asks_every_chat_command_there_is() -> None:
    asked = {question.words.split()[0] for question in rounds(NAME, "m", "g", "v", 1)}
    assert asked == COMMANDS == {command.name for command in REGISTRY}


async def test_whom_the_moderator_names_does_not_go_with_the_crowd(
    server: CytubeServer, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.crowd(CHANNEL).enter("Mute")
    asked: list[str] = []

    async def ask(_self: Moderator, question: Question) -> None:
        asked.append(question.words)

    async def ready(_self: Moderator) -> None:
        return

    monkeypatch.setattr(Moderator, "ask", ask)
    monkeypatch.setattr(Moderator, "ready", ready)
    async with lived(Life(control, NAME, Pace(people=12, density=1e6, typing=0.0))):
        await until(lambda: {"pm", "kick"} & {words.split()[0] for words in asked})
    named = {words.split()[1] for words in asked if words.split()[0] in {"pm", "kick"}}
    assert named
    assert not named & set(AT_ONCE.crowd)


async def test_a_bot_gives_every_right_answer_in_a_flood_a_raid_and_after_a_cut(
    server: CytubeServer, bot: Running, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life_of, "CHURNS", 2)
    monkeypatch.setattr(life_of, "FLOOD_LINES", 4)
    life = Life(control, NAME, AT_ONCE)
    async with lived(life):
        await until(lambda: life.tally.asked.total() > 5, deadline=30)
        server.drop_connections()
        await life.raid()
        await life.flood()
        await until(lambda: set(life.tally.right) == COMMANDS, deadline=60)
        await life.churn()
    assert (life.tally.wrong, life.tally.missing) == ([], [])
    assert life.tally.interrupted > 0
    assert life.tally.lines > RAID_PEOPLE
    assert life.tally.churned == 2


async def test_an_answer_that_is_not_right_is_wrong_and_none_is_missing(
    server: CytubeServer, bot: Running, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally()
    asking = Moderator(control, NAME, tally)
    await asking.ask(Question("help kick", "pick <name>"))
    await asking.leave()
    server.crowd().enter("Mute")
    monkeypatch.setattr(moderator, "TIMEOUT", 0.2)
    silent = Moderator(control, "Mute", tally)
    await silent.ask(Question("help", "Chat commands"))
    await silent.leave()
    assert [text.partition(":")[0] for text in tally.wrong] == ["help kick"]
    assert tally.missing == ["help"]
    assert tally.right.total() == 0


async def test_a_bot_that_leaves_meanwhile_owes_no_answer(server: CytubeServer, control: Control) -> None:
    server.crowd().enter("Mute")
    tally = Tally()
    asking = Moderator(control, "Mute", tally)
    question = asyncio.create_task(asking.ask(Question("help", "Chat commands")))
    await until(lambda: any(line.text == "help" for line in server.pm_log))
    server.crowd().leave("Mute")
    with pytest.raises(Interrupted):
        await question
    await asking.leave()
    assert tally.asked.total() == 0


@pytest.mark.parametrize("who", [NAME, "everybody"])
async def test_who_came_anew_between_two_questions_begins_a_round_anew(
    who: str, server: CytubeServer, bot: Running, control: Control
) -> None:
    tally = Tally()
    asking = Moderator(control, NAME, tally)
    await asking.ask(Question("afk", r"I am shown as AFK now\."))
    before = server.room().find(NAME)
    if who == NAME:
        server.kick(NAME, "once")
    else:
        server.drop_connections()
    await until(lambda: server.room().find(NAME) not in {None, before}, deadline=30)
    with pytest.raises(Interrupted, match="anew"):
        await asking.ask(Question("afk", r"I am not AFK any more\."))
    await asking.ask(Question("afk", r"I am shown as AFK now\."))
    await asking.leave()
    assert (tally.asked.total(), tally.wrong) == (2, [])


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8", "https://93.184.216.34:8443", "http://[2606:4700::1111]", "http://0.0.0.0"]
)
def test_a_public_server_is_never_loaded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotToBeLoaded, match="public server"):
        refuse_public(url)
    assert cli.main(["--server", url, "test"]) == 2
    assert "public server" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://10.1.2.3", "http://[::1]:8080", "http://192.168.7.1"])
def test_servers_of_private_networks_may_be(url: str) -> None:
    refuse_public(url)


async def test_what_is_no_sandbox_is_not_loaded_and_hears_one_question() -> None:
    heard: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.json_response({"hello": "there"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    code = await asyncio.to_thread(cli.main, ["--server", f"http://127.0.0.1:{port}", "test"])
    await runner.cleanup()
    assert code == 2
    assert heard == ["/_sandbox/state"]
