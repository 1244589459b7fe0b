"""Chat commands that make the bot speak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botcore.commands.call import Call
from botcore.commands.registry import chat_command
from botcore.cytube.message import Delivery, Message
from botcore.errors import ActionRefused, ActionUnanswered, UsageError
from botcore.room import Room


@chat_command(
    "say",
    usage="<message>",
    summary="says something in the room",
    details="Orders to the server (`/kick`, `/ban`, …) are refused, also behind `/me` and `/sp`, which may be used; any"
    " other slash is shown as it is. Long messages become several lines. Answers when the server has shown the last one"
    " to everybody, and tells what they see if the channel's filters changed it.",
)
async def say(call: Call) -> Sequence[str]:
    """Say, and report what became of it."""
    call.need("chat")
    _not_muted(call)
    message = Message(call.argument)
    if message.line().order:
        raise ActionRefused("I do not pass orders on to the server.", hint="Only /me and /sp may begin with a slash.")
    return await _speak(call, message)


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
    target = call.find(name)
    if target.name == call.session.name:
        raise ActionRefused("CyTube lets nobody write to themselves.")
    return await _speak(call, Message(text, target.name))


@chat_command(
    "clear",
    summary="clears the chat for everybody",
    details="The bot needs the channel's right to clear the chat.",
)
async def clear(call: Call) -> Sequence[str]:
    """Clear, and wait for the server's word."""
    call.need("chat", "chatclear")

    def accept(event: str, data: Any, _room: Room) -> bool | None:
        if event == "errorMsg":
            raise ActionRefused(f"CyTube: {data.get('msg')}")
        return True if event == "clearchat" else None

    await call.act("chatMsg", {"msg": "/clear", "meta": {}}, accept)
    return ["The chat is cleared."]


async def _speak(call: Call, message: Message) -> Sequence[str]:
    if not message.line().text:
        raise UsageError("What should I say?")
    delivery = await call.outbox.put(message)
    if delivery is Delivery.UNCONFIRMED:
        raise ActionUnanswered("CyTube has not confirmed it yet; it may have been said. It is not said twice.")
    if delivery is not Delivery.DELIVERED:
        raise ActionRefused(f"It was not said: {message.detail or delivery.value}.")
    done = "Said" if message.to is None else f"Sent to {message.to}"
    return [f"{done}, but the channel changed it: {message.detail}" if message.detail else f"{done}."]


def _not_muted(call: Call) -> None:
    """CyTube shows the line of a muted user to nobody, and that of a shadow-muted one to moderators alone."""
    own, sender = call.room.user(call.session.name), call.room.user(call.sender.name)
    if own is not None and (own.muted or own.shadow_muted):
        raise ActionRefused("I am muted here, so nobody would see it.")
    if sender is not None and (sender.muted or sender.shadow_muted):
        raise ActionRefused("You are muted here, so I do not speak for you.")
