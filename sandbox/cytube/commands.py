"""Chat commands of CyTube itself, such as ``/me`` and ``/kick``. What the bot answers to is the bot's business."""

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from sandbox.cytube.audience import Audience
from sandbox.cytube.board import Board
from sandbox.cytube.moderation import Moderation
from sandbox.cytube.session import Session

_DRINK = re.compile(r"d(-?\d*)")

Meta = Mapping[str, object]
Say = Callable[[Session, str, Meta], None]


class SetAway(Protocol):
    """Marks a user as away or back."""

    def __call__(self, session: Session, *, afk: bool) -> None: ...


class Commands:
    """The commands of one channel. One that the user may not give is swallowed without a word."""

    def __init__(
        self,
        audience: Audience,
        board: Board,
        moderation: Moderation,
        *,
        say: Say,
        afk: SetAway,
        clear: Callable[[Session], None],
    ) -> None:
        self._audience = audience
        self._board = board
        self._say = say
        self._set_afk = afk
        self._wipe = clear
        self._table: dict[str, Callable[[Session, str, Meta], None]] = {
            "me": self._me,
            "sp": self._spoiler,
            "say": self._shout,
            "afk": self._afk,
            "clear": self._clear,
            "kick": lambda session, rest, meta: moderation.kick(session, rest),
            "kickanons": lambda session, rest, meta: moderation.kick_anonymous(session),
            "ban": lambda session, rest, meta: moderation.ban_name(session, rest),
            "ipban": lambda session, rest, meta: moderation.ban_address(session, rest),
            "mute": lambda session, rest, meta: moderation.mute(session, rest, shadow=False),
            "smute": lambda session, rest, meta: moderation.mute(session, rest, shadow=True),
            "unmute": lambda session, rest, meta: moderation.unmute(session, rest),
        }

    def run(self, session: Session, text: str, meta: Meta) -> bool:
        """Obey ``text``; False when it is no command and has to be said (recording 05: ``/nosuchcommand``)."""
        word, _, rest = text[1:].partition(" ")
        command = self._table.get(word)
        if command is not None:
            command(session, rest, meta)
            return True
        drink = _DRINK.fullmatch(word)
        if drink is not None:
            self._drink(session, drink.group(1), rest, meta)
            return True
        return False

    def _me(self, session: Session, rest: str, meta: Meta) -> None:
        self._say(session, rest, {**meta, "addClass": "action", "action": True})

    def _spoiler(self, session: Session, rest: str, meta: Meta) -> None:
        self._say(session, rest, {**meta, "addClass": "spoiler"})

    def _shout(self, session: Session, rest: str, meta: Meta) -> None:
        if session.rank >= 1.5:
            shout = {"addClass": "shout", "addClassToNameAndTimestamp": True, "forceShowName": True}
            self._say(session, rest, {**meta, **shout})

    def _afk(self, session: Session, rest: str, meta: Meta) -> None:
        self._set_afk(session, afk=True)

    def _clear(self, session: Session, rest: str, meta: Meta) -> None:
        if self._audience.may(session, "chatclear"):
            self._wipe(session)

    def _drink(self, session: Session, number: str, rest: str, meta: Meta) -> None:
        if not self._audience.may(session, "drink"):
            return
        count = int(number) if number.strip("-") else 1
        self._board.add_drinks(count)
        times = f" (x{count})" if count > 1 else ""
        self._say(session, f"{rest} drink!{times}", {**meta, "addClass": "drink", "forceShowName": True})
