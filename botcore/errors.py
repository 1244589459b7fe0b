"""Everything that can go wrong in the bot.

BotError
├─ ConfigError            the settings cannot be used; carries every problem at once
├─ PortUnusable           health cannot listen where it should
├─ MemoryUnusable         bot.db cannot be used (see `botcore.memory`)
├─ EventError             an event the room state cannot take
│  ├─ UnknownEvent        a name we have never seen
│  └─ MalformedEvent      a known name with data of the wrong shape
├─ SessionError           why the bot is not, or no longer, in the room
│  ├─ Unreachable         no socket server, no connection, or the connection broke
│  │  └─ NotSent          the connection was gone before anything was sent
│  ├─ NoAnswer            the server was silent until the deadline
│  ├─ RateLimited         too many connections from this address
│  ├─ LoginRefused        wrong password, unknown or unusable name
│  │  └─ NameTaken        the guest name is in use, or guests must wait
│  ├─ ChannelRefused      channel password, invalid channel name
│  └─ Kicked              a moderator put us out
│     ├─ DuplicateLogin   the same account signed in elsewhere
│     └─ Banned           by name or by address
└─ CommandError           a chat command that was not carried out
   ├─ UsageError          the moderator mistyped; not a failure of the bot
   ├─ ActionRefused       the server, a rank or the state of the room says no; not a failure of the bot
   │  └─ Withdrawn        whoever asked for it has taken it back
   └─ ActionUnanswered    the server did not confirm in time

`reason` is a stable word for logs and metrics, the text says what happened, `hint` says what to do. `is_failure` is
false for what people caused: it never counts as an error of the bot.
"""

from __future__ import annotations

from collections.abc import Sequence


class BotError(Exception):
    """Base of all errors of the bot."""

    reason = "bot_error"
    is_failure = True

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def sentence(self) -> str:
        """What happened and what to do, for a person."""
        return f"{self} {self.hint}".strip()


class ConfigError(BotError):
    """The settings cannot be used."""

    reason = "config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems), hint="Correct the configuration file or the environment and try again.")
        self.problems = tuple(problems)


class PortUnusable(BotError):
    """Health cannot listen where it should. Somebody else may let go of the port, so starting again can help."""

    reason = "port"


class MemoryUnusable(BotError):
    """bot.db cannot be opened or was written by an incompatible release."""

    reason = "memory"


class EventError(BotError):
    """An event the room state cannot take."""

    reason = "event"


class UnknownEvent(EventError):
    """An event name we do not know."""

    reason = "unknown_event"


class MalformedEvent(EventError):
    """A known event with data of the wrong shape."""

    reason = "malformed_event"


class SessionError(BotError):
    """Why the bot is not, or no longer, in the room."""

    reason = "session"


class Unreachable(SessionError):
    """There is no connection to the server."""

    reason = "unreachable"


class NotSent(Unreachable):
    """The connection was gone before anything was sent: it can be sent later without being said twice."""

    reason = "not_sent"


class NoAnswer(SessionError):
    """The server said nothing until the deadline."""

    reason = "no_answer"


class RateLimited(SessionError):
    """Too many connections from this address."""

    reason = "rate_limited"


class LoginRefused(SessionError):
    """The account cannot sign in."""

    reason = "login_refused"


class NameTaken(LoginRefused):
    """A guest name that is in use, or a guest who must wait."""

    reason = "name_taken"


class ChannelRefused(SessionError):
    """The channel does not let us in."""

    reason = "channel_refused"


class Kicked(SessionError):
    """A moderator put us out."""

    reason = "kicked"


class DuplicateLogin(Kicked):
    """The same account signed in elsewhere; CyTube keeps the newer session."""

    reason = "duplicate_login"


class Banned(Kicked):
    """We are banned from the channel, by name or by address."""

    reason = "banned"


class CommandError(BotError):
    """A chat command that was not carried out."""

    reason = "command"


class UsageError(CommandError):
    """The moderator mistyped: answered with how the chat command is used."""

    reason = "usage"
    is_failure = False


class ActionRefused(CommandError):
    """What was asked for cannot be: the server, a rank or the state of the room says no."""

    reason = "refused"
    is_failure = False


class Withdrawn(ActionRefused):
    """It was taken back before its turn came."""

    reason = "withdrawn"


class ActionUnanswered(CommandError):
    """The server did not confirm in time."""

    reason = "unanswered"
