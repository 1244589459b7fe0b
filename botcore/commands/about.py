"""What the bot says about itself and its commands."""

from __future__ import annotations

from collections.abc import Sequence

from botcore.commands.call import Call
from botcore.commands.registry import REGISTRY
from botcore.errors import UsageError


@REGISTRY.add(
    "help",
    usage="[command]",
    summary="lists the chat commands, or explains one",
    details="Without a word it lists all chat commands; with one it answers how that is used.",
)
async def help_(call: Call) -> Sequence[str]:
    """List or explain."""
    if not call.argument:
        return [f"{command.name}" for command in REGISTRY]
    command = REGISTRY.get(call.argument)
    if command is None:
        raise UsageError(f"There is no chat command {call.argument!r}.", hint="Say help.")
    return [command.help(), command.details]
