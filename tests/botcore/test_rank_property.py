"""Whatever a moderator says, on a server that obeys commands at every depth: nothing happens beyond their own rank."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.botcore.examples import SIZES, size
from tests.botcore.model import ABOVE, BELOW, BOT, MODERATOR, Model


def words(*lines: str) -> st.SearchStrategy[str]:
    """One of the words in the lines."""
    return st.sampled_from([word for line in lines for word in line.split()])


permission = words(
    "chat chatclear kick ban mute playlistadd oplaylistadd playlistnext playlistdelete playlistmove playlistjump",
    "playlistaddlist playlistaddlive playlistaddrawfile addnontemp leaderctl voteskip viewvoteskip seeplaylist pollctl",
    "drink exceedmaxitems exceedmaxlength",
)
permissions = st.dictionaries(permission, st.sampled_from((-1, 0, 1.5, 2, 3, 4, 5)), max_size=6)
command = words("say say pm kick clear add remove move jump next pause voteskip afk user playlist /me help SAY")
people = f"{ABOVE} {BELOW} {BOT} {MODERATOR}"
first = words("/me /sp /say /me", people, "1 2 tw:one yt:bbbbbbbbbbb yp:list https://a.test/b.mp4 hello")
word = words(
    "/me /sp /say /shout /d /d5 /kick /ban /ipban /mute /smute /rank /clear /afk /clean /cleantitle /poll /kickanons",
    "/toString /unmute /nosuch // / a,b,c .* 4 2 1 hello _x_ * 🙂 <b> next keep end",
    people,
) | st.sampled_from(("\t", "\u00a0", "\x00", "\u2003", "x" * 150))
texts = st.builds(
    lambda start, gap, argument, rest, glue: f"{start}{gap}{glue.join([argument, *rest])}",
    command,
    st.sampled_from((" ", "  ", "\t")),
    first | word,
    st.lists(word, max_size=6),
    st.sampled_from((" ", " ", "  ", "", "\t")),
)


def offences(before: Model, model: Model) -> list[str]:
    """What has happened that the moderator alone could not have done."""
    room, rank = model.room, model.moderator_rank

    def may(action: str) -> bool:
        return rank >= room.permissions[action]

    found = []
    present = {member.name: member.rank for member in room.members}
    for name, old in {ABOVE: 5.0, BELOW: 1.0, MODERATOR: rank, BOT: before.bot.rank}.items():
        if name not in present and not (may("kick") and old < rank):
            found.append(f"{name} is gone")
        elif present.get(name, old) != old:
            found.append(f"{name} has the rank {present[name]}")
    if any(member.muted or member.shadow_muted for member in room.members):
        found.append("somebody is muted")
    if room.moderation._bans:
        found.append("somebody is banned")
    if room.board.drinks:
        found.append("drinks were called")
    if room.votes._poll is not None:
        found.append("a poll was opened")
    return found + list_offences(before, model, may=may)


def list_offences(before: Model, model: Model, *, may: object) -> list[str]:
    """The same for chat, playlist and playback."""
    assert callable(may)
    old = [item.uid for item in before.room.player.items]
    items = {item.uid: item for item in model.room.player.items}
    added = [item for uid, item in items.items() if uid not in old]
    said = [line for line in model.room.chat._record.chat if line.username == BOT]
    skipped = model.room.player.current_uid != before.room.player.current_uid
    gone = [uid for uid in old if uid not in items]
    kept = [uid for uid in old if uid in items]
    voted = bool(model.room.votes._skips) or may("voteskip")
    checks = {
        "spoke": (bool(said), may("chat")),
        "added": (bool(added), may("playlistadd")),
        "added for good": (any(not item.temp for item in added), may("addnontemp")),
        "added live": (any(item.media.type == "tw" for item in added), may("playlistaddlive")),
        "deleted": (bool(gone), may("playlistdelete") or may("playlistjump") or voted),
        "moved": ([uid for uid in items if uid in kept] != kept, may("playlistmove")),
        "skipped": (skipped, may("playlistjump") or may("playlistdelete") or may("voteskip")),
        "leads": (model.room.player.leader is not None, may("leaderctl")),
    }
    return [what for what, (happened, allowed) in checks.items() if happened and not allowed]


@pytest.mark.parametrize("count", SIZES)
def test_nothing_happens_that_the_moderator_could_not_do_alone(count: int) -> None:
    with asyncio.Runner() as runner:

        @size(count)
        @given(texts, st.sampled_from((2, 3, 4, 5)), st.sampled_from((2, 3, 4)), permissions)
        def holds(text: str, bot_rank: float, moderator_rank: float, ranks: dict[str, float]) -> None:
            async def play() -> list[str]:
                before, model = (
                    Model(bot_rank=bot_rank, moderator_rank=moderator_rank, permissions=ranks) for _ in range(2)
                )
                await model.order(text)
                return offences(before, model)

            assert runner.run(play()) == []

        holds()


async def test_the_model_would_notice() -> None:
    """The same judge, on orders given with the bot's rank."""
    before, model = (Model(bot_rank=5, moderator_rank=2, permissions={"chat": 3}) for _ in range(2))
    orders = ("/me /kick Above", "/kick Below", "/sp /rank Mod 4", "/me /poll a,b", "/clean .*", "/mute Mod", "/d x")
    for line in orders:
        model.room.chat.receive(model.bot, {"msg": line})
    assert set(offences(before, model)) >= {
        "Mod has the rank 4",
        "somebody is muted",
        "drinks were called",
        "a poll was opened",
        "spoke",
    }
