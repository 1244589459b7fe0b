"""Lines as the server counts them: nothing is cut off, nothing is cut in half."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botcore.cytube import limits, lines
from botcore.cytube.message import Delivery, Message
from botcore.room import Room
from sandbox.cytube import CytubeServer, ManualClock, ServerConfig, Viewer
from sandbox.cytube.config import CHAT
from sandbox.cytube.limits import Rate, RateLimiter
from sandbox.cytube.session import Session
from tests.botcore.examples import SIZES, size
from tests.botcore.running import Running, running, settings_for, until
from tests.botcore.test_commands import ask

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
BANNER = "🏴\U000e0067\U000e0062\U000e007f"
WHOLE = ("🙂", FAMILY, "👍🏽", "🇩🇪", "e\u0301", "❤\ufe0f", "1\ufe0f\u20e3", BANNER, "x", "日", "_", "~~")
texts = st.lists(st.sampled_from((*WHOLE, " ", "/", "·")), max_size=120).map("".join)


@pytest.mark.parametrize(
    "title", ["🙂" * 50, FAMILY * 40, "👍🏽" * 100, "🇩🇪" * 90, "e\u0301" * 200, "x" * 319 + "🙂"], ids=ascii
)
async def test_everything_arrives_whole(server: CytubeServer, bot: Running, title: str) -> None:
    message = Message(" · ".join([title] * 3))
    assert await bot.bot.outbox.put(message) is Delivery.DELIVERED
    said = [line.text for line in server.chat_log]
    assert " ".join(said).replace(" ", "") == message.text.replace(" ", "")
    assert not any("\ud800" <= character <= "\udfff" for line in said for character in line)
    assert all(lines.length(line) <= lines.LINE_LENGTH for line in said)
    assert message.detail == ""


async def test_the_limit_is_what_the_echoes_show(tmp_path: Path) -> None:
    config = ServerConfig(login_cost=4, chat_length=240)
    async with CytubeServer(config) as short, running(settings_for(short, tmp_path)) as one:
        await one.in_room()
        viewer = await Viewer.join(short.url, "test-rosey", "Guesty")
        text = " ".join(f"word{number}" for number in range(90)) + " " + "🙂" * 130
        assert await one.bot.outbox.put(Message(text)) is Delivery.DELIVERED
        assert await one.bot.outbox.put(Message(text, to="Guesty")) is Delivery.DELIVERED
        assert one.bot.outbox.line_length in (239, 240)
        for log in (short.chat_log, short.pm_log):
            assert "".join(line.text for line in log).replace(" ", "") == text.replace(" ", "")
        assert not any("\ud800" <= character <= "\udfff" for line in short.pm_log for character in line.text)
        await viewer.leave()


async def test_a_long_action_is_an_action_in_every_line(server: CytubeServer, mod: Viewer, bot: Running) -> None:
    text = "waves and " * 40
    assert await bot.bot.outbox.put(Message(f"/me {text}")) is Delivery.DELIVERED
    said = [each.data for each in mod.heard if each.event == "chatMsg" and each.data["username"] == "RoseyBot-Test"]
    await until(lambda: len(server.chat_log) == 2)
    assert all(each["meta"].get("action") for each in said)


async def test_an_action_after_a_burst_waits_for_the_silence_and_is_said(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    """CyTube counts it twice; after a burst its second half would never pass."""
    burst = [bot.bot.outbox.put(Message(f"line {number}", to="Moderator")) for number in range(24)]
    await mod.pm("RoseyBot-Test", "say /me waves")
    await mod.wait_for("pm", lambda line: line["msg"] == "Said.", deadline=30)
    assert [await each for each in burst] == [Delivery.DELIVERED] * 24
    assert [line.text for line in server.chat_log] == ["waves"]
    assert bot.bot.telemetry.events["cooldown"] == 0


async def test_what_the_flood_limit_never_lets_through_was_certainly_not_said(
    server: CytubeServer, bot: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botcore.cytube.outbox.COOLDOWN_TRIES", 2)

    def floods(session: Session, _rate: Rate) -> bool:
        session.send("cooldown", 10)
        return True

    monkeypatch.setattr(server.room().chat, "_floods", floods)
    message = Message("never")
    assert await bot.bot.outbox.put(message) is Delivery.REFUSED
    assert "has not happened" in message.detail


@pytest.mark.parametrize("shadow", [False, True])
async def test_a_muted_bot_says_so_at_once(server: CytubeServer, bot: Running, mod: Viewer, shadow: bool) -> None:
    server.room().moderation.mute(owner(server), "RoseyBot-Test", shadow=shadow)
    await until(lambda: (own := bot.bot.snapshot().room.user("RoseyBot-Test")) and (own.muted or own.shadow_muted))
    assert "I am muted here" in await ask(mod, "say hello")
    assert bot.bot.telemetry.error_count == 0


def owner(server: CytubeServer) -> Session:
    server.crowd().enter("Boss", rank=5)
    found = server.room().find("Boss")
    assert found is not None
    return found


@pytest.mark.parametrize("count", SIZES)
def test_lines_hold_everything_and_halve_nothing(count: int) -> None:
    @size(count)
    @given(texts, st.integers(20, 320))
    def holds(text: str, limit: int) -> None:
        cut = list(lines.chunks([text], limit=limit))
        assert "".join(cut).replace(" ", "") == text.strip().replace(" ", "")
        for line in cut:
            assert lines.length(line) <= limit
            assert not unicodedata.combining(line[0])
            assert line[0] not in "\u200d\ufe0f\u20e3🏽\U000e0067"
            assert sum("\U0001f1e6" <= character <= "\U0001f1ff" for character in line) % 2 == 0
            assert not line.endswith("\u200d")

    holds()


@pytest.mark.parametrize("count", SIZES)
def test_what_keeps_to_our_limits_is_never_lost_to_those_of_the_server(count: int) -> None:
    """Lines that count once, twice or three times, sent as soon as they may go, over a network that bunches them up."""

    @size(count)
    @given(
        st.lists(
            st.tuples(st.integers(1, 3), st.sampled_from((0.0, 0.05, 0.3, 1.9, 2.1, 3.0)), st.floats(0, 0.02)),
            min_size=1,
            max_size=60,
        ),
        st.booleans(),
    )
    def holds(sent: list[tuple[int, float, float]], strict: bool) -> None:
        options = {"chat_antiflood": strict, "chat_antiflood_params": {"burst": 4, "sustained": 1, "cooldown": 4}}
        limit = limits.chat_limit(Room(rank=1, options=options))
        rate = Rate(4, 1, 4) if strict else CHAT
        ours, theirs = ManualClock(), ManualClock()
        brake, limiter = limits.Brake(ours.monotonic), RateLimiter(theirs)
        for cost, pause, late in sent:
            ours.advance(pause)
            ours.advance(brake.wait(limit, cost))
            brake.take(limit, cost)
            theirs.advance(max(0.0, ours.monotonic() + late - theirs.monotonic()))
            assert not any(limiter.refuses(rate) for _ in range(cost))

    holds()
