"""Chat commands about people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botcore.commands import wording
from botcore.commands.call import Call
from botcore.commands.registry import chat_command
from botcore.errors import ActionRefused, UsageError
from botcore.memory import people
from botcore.room import Room, User


@chat_command(
    "users",
    summary="lists who is here",
    details="Lists everybody with a name: moderators with their rank, and who is AFK or muted.",
)
async def users(call: Call) -> Sequence[str]:
    """Everybody by name, the highest ranks first."""
    here = sorted(call.room.users.values(), key=lambda user: (-user.rank, user.name.lower()))
    return [f"{wording.crowd(call.room)}:", *(wording.person(user) for user in here)]


@chat_command(
    "user",
    usage="<name>",
    summary="says what is known of somebody",
    details="Answers rank and state of somebody who is here, and what the bot remembers: first and last seen, lines"
    " said, time spent. The address is not shown.",
)
async def user(call: Call) -> Sequence[str]:
    """One person, now and ever."""
    name = _name(call)
    here = call.room.user(name) if call.certain else call.find(name)
    known = await call.remembered(lambda connection: people.find(connection, here.name if here else name))
    if here is None and known is None:
        raise ActionRefused(f"I have never seen {name}.")
    answer = [wording.person(here) if here else f"{known.name if known else name} is not here"]
    if here and len(here.aliases) > 1:
        answer.append(f"also known as {', '.join(alias for alias in here.aliases if alias != here.name)}")
    if known:
        answer += [
            f"first seen {wording.stamp(known.first_seen)}",
            f"last seen {wording.stamp(known.last_seen)}",
            wording.count(known.lines, "line"),
            f"{wording.duration(known.seconds)} in the room",
        ]
    return answer


@chat_command(
    "afk",
    summary="toggles whether the bot is shown as AFK",
    details="CyTube ends it by itself as soon as the bot says something in the room.",
)
async def afk(call: Call) -> Sequence[str]:
    """Toggle."""
    call.need("chat")
    own = call.session.name

    def accept(event: str, data: Any, _room: Room) -> bool | None:
        return bool(data.get("afk")) if event == "setAFK" and data.get("name") == own else None

    away = await call.act("chatMsg", {"msg": "/afk", "meta": {}}, accept)
    return ["I am shown as AFK now." if away else "I am not AFK any more."]


@chat_command(
    "kick",
    usage="<name> [reason]",
    summary="puts somebody out of the room",
    details="The bot needs the channel's right to kick, and a higher rank than the person. They can come back at once.",
)
async def kick(call: Call) -> Sequence[str]:
    """Kick, and wait until they are gone: CyTube says nothing about somebody who is absent."""
    name = _name(call)
    target = call.find(name)
    if target.name == call.session.name:
        raise ActionRefused("I do not kick myself.")
    _outranked(call, target)
    call.need("chat", "kick")
    reason = call.argument.partition(" ")[2].strip()

    def accept(event: str, data: Any, room: Room) -> bool | None:
        if event == "errorMsg":
            raise ActionRefused(f"CyTube: {data.get('msg')}")
        return True if event == "userLeave" and room.user(target.name) is None else None

    order = {"msg": f"/kick {target.name} {reason}".strip(), "meta": {}}
    await call.act("chatMsg", order, accept, check=lambda: _outranked(call, call.room.user(target.name) or target))
    return [f"{target.name} was kicked."]


def _outranked(call: Call, target: User) -> None:
    """Neither the bot nor the moderator may touch their equals; the bot must not lend its rank."""
    if target.rank >= call.rank:
        raise ActionRefused(f"{target.name} has your rank or a higher one.")
    if target.rank >= call.room.rank:
        raise ActionRefused(f"{target.name} has my rank or a higher one.")


def _name(call: Call) -> str:
    if not call.words:
        raise UsageError("Whom?")
    return call.words[0]
