"""Text as typed: what CyTube's formatting did to it is undone, and what cannot be undone is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botcore import markup
from sandbox.cytube import CytubeServer, Viewer
from sandbox.cytube.text import FILTERS, ChatFilter, escape, format_line
from tests.botcore import test_commands
from tests.botcore.examples import SIZES, size
from tests.botcore.running import CHANNEL, Running, until

DATA = Path(__file__).parents[1] / "data" / "cytube-formatting.json"
typed = st.lists(
    st.sampled_from(("_", "*", "`", "~~", "~", "[sp]", "[/sp]", "a", "b", " ", "<", ">", "&", "&amp;", '"', "'", "🙂")),
    max_size=24,
).map("".join)


async def ask(viewer: Viewer, text: str) -> str:
    """The first answer, as it was sent."""
    return markup.plain(await test_commands.ask(viewer, text))


def unbalanced(text: str) -> str:
    """The default filters alone, without the library that balances tags behind them."""
    text = escape(text)
    for each in FILTERS:
        text = each.apply(text)
    return text


@pytest.mark.parametrize("count", SIZES)
def test_what_the_filters_did_is_undone(count: int) -> None:
    @size(count)
    @given(typed)
    def holds(text: str) -> None:
        assert markup.plain(unbalanced(text)) == text

    holds()


@pytest.mark.parametrize("count", SIZES)
def test_behind_balanced_tags_too_and_what_overlaps_is_known_to_be_uncertain(count: int) -> None:
    """Overlapping formatting looks like nested one: then it is understood as a text that looks the same."""

    @size(count)
    @given(typed)
    def holds(text: str) -> None:
        shown = format_line(text)
        understood = markup.plain(shown)
        assert understood == text or not markup.is_certain(shown)
        assert markup.bare(understood) == markup.bare(text)
        assert markup.same(text, shown)

    holds()


def test_the_real_libraries_are_undone_as_well() -> None:
    """200 texts, put through CyTube's default filters and sanitize-html 2 by Node."""
    for text, shown in json.loads(DATA.read_text(encoding="utf-8")):
        assert markup.plain(shown) == text or not markup.is_certain(shown)
        assert markup.same(text, shown)


@pytest.mark.parametrize("name", ["cool_guy_99", "_x_", "__a__b", "snake_case_name", "a_b-c_d"])
async def test_names_with_underscores_are_found(server: CytubeServer, bot: Running, mod: Viewer, name: str) -> None:
    server.crowd().enter(name)
    await until(lambda: bot.bot.snapshot().room.user(name) is not None)
    assert await ask(mod, f"kick {name} out, *now*_") == f"{name} was kicked."
    assert bot.bot.snapshot().room.user(name) is None


async def test_a_link_with_underscores_is_the_one_that_was_typed(server: CytubeServer, mod: Viewer) -> None:
    assert "Added" in await ask(mod, "add tw:my_cool_stream")
    assert [item.media.id for item in server.room().player.items] == ["my_cool_stream"]


async def test_a_message_arrives_as_typed(server: CytubeServer, mod: Viewer) -> None:
    text = "2*3*4 = 24, ~~x~~, a_b_c, `code`, [sp]no[/sp] & <b> http://a.test/x_y_z"
    assert await ask(mod, f"say {text}") == "Said."
    assert [line.text for line in server.chat_log] == [text]


async def test_what_the_channel_made_of_a_message_is_told(server: CytubeServer, mod: Viewer) -> None:
    server.room().board.filters.append(ChatFilter("cats", "^dogs", "g", "cats"))
    assert await ask(mod, "say dogs rule") == "Said, but the channel changed it: cats rule"


async def test_formatting_of_the_channels_own_hides_no_name_and_invents_none(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    """Where tags are not CyTube's own, a name is looked for in the room; one that may be meant is not made up."""
    server.room().board.filters[:] = [ChatFilter("italic", "_(.+?)_", "g", r"<i>\1</i>")]
    for name in ("cool_guy_99", "twin_a_b", "twin_ab_"):
        server.crowd().enter(name)
    await until(lambda: len(bot.bot.snapshot().room.users) == 5)
    assert "who is meant" in await ask(mod, "kick twin_a_b")
    assert "formatting hides" in await ask(mod, "add tw:my_cool_stream")
    assert "was kicked" in await ask(mod, "kick cool_guy_99")
    assert bot.bot.snapshot().room.user("cool_guy_99") is None
    assert "is not here" in await ask(mod, "kick coolguy99")
    viewer = await Viewer.join(server.url, CHANNEL, "cool_guy_99")
    await until(lambda: bot.bot.snapshot().room.user("cool_guy_99") is not None)
    assert "is not here" in await ask(mod, "kick coolguy99"), "certain text names exactly one person"
    await viewer.leave()
