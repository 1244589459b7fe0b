"""The errors of the status side; all of them are `engine.errors.PortalError`.

PortalError
└── BotSilent                   a bot's health address gave nothing usable; carries `reason` and the seconds it took
    ├── BotUnreachable          no connection, no answer in time, or no address to ask
    └── InvalidHealthResponse   an answer that breaks the contract: wrong types, too long, HTML, a redirect
"""

from engine.errors import PortalError


class BotSilent(PortalError):
    """No health document came from the bot."""

    reason = "bot_silent"
    permanent = False


class BotUnreachable(BotSilent):
    """The bot's health port did not answer within the deadline."""

    reason = "bot_unreachable"


class InvalidHealthResponse(BotSilent):
    """The bot answered with something that is no health document."""

    reason = "bot_lies"
