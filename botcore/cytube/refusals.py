"""What a server's refusal means: its texts, told apart.

The texts are CyTube's own, as recorded (scenarios 07, 08, 11, 19 to 25 and 34).
"""

from __future__ import annotations

from botcore import markup
from botcore.errors import (
    Banned,
    ChannelRefused,
    DuplicateLogin,
    Kicked,
    LoginRefused,
    NameTaken,
    RateLimited,
    SessionError,
    Unreachable,
)

QUOTED_LENGTH = 200
# Newer servers refuse the connection, older ones kick (docs/cytube-protocol.md).
_SERVER_BANS = ("You are banned from the server", "Your IP is globally banned.")
_NAME_TAKEN = ("already in use", "restricted to one per IP")


def from_kick(reason: str) -> SessionError:
    """The error behind a `kick {reason}`."""
    reason = _quoted(reason)
    if reason == "Duplicate login":
        return DuplicateLogin(
            "The same account signed in elsewhere, so CyTube closed this session.",
            hint="One account is one bot: stop the other program that uses it.",
        )
    if reason in _SERVER_BANS:
        return _banned_everywhere()
    if reason in {"You're banned!", "You are banned from this channel."}:
        return Banned("The bot is banned from the channel.", hint="A moderator has to lift the ban.")
    if reason == "Too many connections from your IP address":
        return RateLimited(
            "CyTube has too many connections from this address.",
            hint="Close other clients on this machine; at most ten may be open at once.",
        )
    if reason == "Invalid channel name":
        return ChannelRefused("CyTube does not accept the channel name.", hint="Correct `channel.name`.")
    return Kicked(f"The bot was kicked: {reason or 'no reason given'}.", hint="It comes back by itself.")


def from_login(error: str) -> SessionError:
    """The error behind `login {success: false, error}`."""
    error = _quoted(error)
    if any(text in error for text in _NAME_TAKEN):
        return NameTaken(
            f"CyTube does not give us the guest name yet: {error}",
            hint="The name may still belong to a connection that just broke; it is tried again every minute.",
        )
    return LoginRefused(
        f"CyTube refused the login: {error}",
        hint="Check `user.name` and the password; a reload (SIGHUP) tries again at once.",
    )


def from_connect(error: str) -> SessionError:
    """The error behind a failed connection."""
    error = _quoted(error)
    if any(text in error for text in _SERVER_BANS):
        return _banned_everywhere()
    if "Too many connections from your IP" in error:
        return from_kick("Too many connections from your IP address")
    if "Rate limit exceeded" in error:
        return RateLimited(
            "CyTube refused the connection: rate limit exceeded.",
            hint="It allows five at once and then one per ten seconds from one address.",
        )
    return Unreachable(f"No connection to the CyTube server: {error}")


def _banned_everywhere() -> Banned:
    return Banned(
        "The CyTube server has banned this address, from all its channels.",
        hint="Only the server's administrators can lift the ban.",
    )


def _quoted(text: str) -> str:
    """A stranger's text as part of a sentence of ours, in logs and in systemd's status line: one line, not too long."""
    return markup.one_line(text)[:QUOTED_LENGTH]
