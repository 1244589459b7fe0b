"""The chat commands that moderators give by PM."""

from botcore.commands import about, media, persons, talk
from botcore.commands.help import with_help

COMMANDS = (
    about.info,
    about.status,
    about.stats,
    media.playlist,
    media.current,
    media.add,
    media.remove,
    media.move,
    media.jump,
    media.next_,
    media.pause,
    media.voteskip,
    persons.users,
    persons.user,
    persons.afk,
    persons.kick,
    talk.say,
    talk.pm,
    talk.clear,
)
REGISTRY = with_help(COMMANDS)

__all__ = ["COMMANDS", "REGISTRY"]
