"""Chat commands that make the bot speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botcore import markup
from botcore.commands.call import Call
from botcore.commands.registry import chat_command
from botcore.errors import ActionRefused, ActionUnanswered, UsageError
from botcore.outbox import Delivery, Message
from botcore.room import Room

# What CyTube only formats. Everything else with a slash is an order to the server, and it would run with our rank.
_HARMLESS = ("/me ", "/sp ")


@chat_command(
    "say",
    usage="<message>",
    summary="says something in the room",
    details="Orders to the server (`/kick`, `/ban`, …) are refused, except `/me` and `/sp`. Long messages become"
    " several lines. Answers when the server has shown the last line to everybody.",
)
async def say(call: Call) -> Sequence[str]:
    """Say, and report what became of it."""
    if not call.argument:
        raise UsageError("What should I say?")
    _harmless(call.argument)
    return await _speak(call, None, call.argument)


@chat_command(
    "pm",
    usage="<name> <message>",
    summary="sends somebody a private message",
    details="The message carries the bot's name, not yours.",
)
async def pm(call: Call) -> Sequence[str]:
    """Send a PM."""
    name, _, text = call.argument.partition(" ")
    if not name or not text.strip():
        raise UsageError("To whom, and what?")
    target = call.room.user(name)
    if target is None:
        raise ActionRefused(f"{name} is not here.")
    if target.name == call.session.name:
        raise ActionRefused("CyTube lets nobody write to themselves.")
    return await _speak(call, target.name, text.strip())


@chat_command(
    "clear",
    summary="clears the chat for everybody",
    details="The bot needs the channel's right to clear the chat.",
)
async def clear(call: Call) -> Sequence[str]:
    """Clear, and wait for the server's word."""
    call.need("chatclear")

    def accept(event: str, data: Any, _room: Room) -> bool | None:
        if event == "errorMsg":
            raise ActionRefused(f"CyTube: {data.get('msg')}")
        return True if event == "clearchat" else None

    await call.act("chatMsg", {"msg": "/clear", "meta": {}}, accept)
    return ["The chat is cleared."]


async def _speak(call: Call, to: str | None, text: str) -> Sequence[str]:
    message = Message("", to)
    for line in markup.chunks([text]):
        _harmless(line)
        message = Message(line, to)
        delivery = await call.outbox.put(message)
        if delivery is Delivery.UNCONFIRMED:
            raise ActionUnanswered("CyTube has not confirmed it yet; it may have been said. It is not said twice.")
        if delivery is not Delivery.DELIVERED:
            raise ActionRefused(f"It was not said: {message.detail or delivery.value}.")
    return ["Said." if to is None else f"Sent to {to}."]


def _harmless(text: str) -> None:
    if text.startswith("/") and not text.startswith(_HARMLESS):
        raise ActionRefused("I do not pass orders on to the server.", hint="Only /me and /sp may begin with a slash.")
