"""The chat command that explains the others."""

from __future__ import annotations

from collections.abc import Sequence

from botcore.commands.call import Call
from botcore.commands.registry import ChatCommand, Registry, chat_command
from botcore.errors import ActionRefused


def with_help(commands: Sequence[ChatCommand]) -> Registry:
    """The chat commands given, and before them `help`, which lists and explains them all."""

    @chat_command(
        "help",
        usage="[command]",
        summary="lists the chat commands, or explains one",
        details="Without a word it lists all chat commands; with one it answers how that one is used.",
    )
    async def help_(call: Call) -> Sequence[str]:
        if not call.argument:
            return [f"Chat commands: {', '.join(command.name for command in registry)}.", "Say help and one of them."]
        command = registry.get(call.argument)
        if command is None:
            raise ActionRefused(f"There is no chat command {call.argument!r}.", hint="Say help for the list.")
        return [command.help(), command.details]

    registry = Registry((help_, *commands))
    return registry
