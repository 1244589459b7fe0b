"""Votes to skip, and polls. Source: recording 16; what it does not show is how counts of an obscured poll look, so that
polls are never obscured here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.cytube.audience import Audience, Command, Handler
from sandbox.cytube.board import Board
from sandbox.cytube.clock import Timer
from sandbox.cytube.frames import as_object
from sandbox.cytube.player import Player
from sandbox.cytube.session import Session
from sandbox.cytube.text import escape_all

LONGEST_OPTION = 255


@dataclass(slots=True)
class Poll:
    """A question that is open."""

    title: str
    options: list[str]
    initiator: str
    timestamp: int
    votes: dict[str, int] = field(default_factory=dict)
    timer: Timer | None = None

    def as_event(self) -> dict[str, object]:
        """The poll as ``newPoll`` and ``updatePoll`` carry it."""
        chosen = list(self.votes.values())
        return {
            "title": self.title,
            "options": self.options,
            "counts": [chosen.count(number) for number in range(len(self.options))],
            "initiator": self.initiator,
            "timestamp": self.timestamp,
        }


class Votes:
    """What one channel votes on."""

    def __init__(self, audience: Audience, board: Board, player: Player) -> None:
        self._audience = audience
        self._board = board
        self._player = player
        self._skips: set[str] = set()
        self._poll: Poll | None = None

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {
            "voteskip": self.vote_skip,
            "newPoll": self.open_poll,
            "vote": self.vote,
            "closePoll": self.close_poll,
        }

    def commands(self) -> Mapping[str, Command]:
        """CyTube's own chat commands that are handled here."""
        return dict.fromkeys(("poll", "hpoll"), lambda session, rest, meta: self._ask(session, rest))

    # skipping

    def reset_skips(self) -> None:
        """A new item: all votes are void."""
        self._skips.clear()
        self._send_skips(0)

    def vote_skip(self, session: Session, data: object) -> None:
        """One vote for each address; enough of them start the next item. A second vote and one on an empty list are
        silent.
        """
        options = self._board.options
        if not len(self._player.items) or not options["allow_voteskip"] or session.ip in self._skips:
            return
        if not self._audience.may(session, "voteskip"):
            return
        self._skips.add(session.ip)
        self._count_skips()

    def unvote(self, session: Session) -> None:
        """Somebody has gone, or is away: their vote is void, and fewer are needed."""
        if self._skips and self._audience.members:
            self._skips.discard(session.ip)
            self._count_skips()

    def _count_skips(self) -> None:
        options = self._board.options
        ratio = options["voteskip_ratio"]
        voters = [each for each in self._audience.members if self._audience.may(each, "voteskip") and not each.afk]
        need = math.ceil(len(voters) * (ratio if isinstance(ratio, int | float) else 0.5))
        self._send_skips(need)
        if len(self._skips) >= need:
            self._player.play_next()

    def _send_skips(self, need: int) -> None:
        needed = self._audience.permissions["viewvoteskip"]
        self._audience.broadcast_from(needed, "voteskip", {"count": len(self._skips), "need": need})

    # polls

    def send_poll(self, session: Session) -> None:
        """The open poll, for somebody who joins."""
        if self._poll is not None:
            session.send("newPoll", self._poll.as_event())

    def open_poll(self, session: Session, data: object) -> dict[str, object]:
        """Ask the room. This is the one event that the server acknowledges: with nothing, or with what is wrong."""
        wanted = as_object(data, {"title": "string", "opts": "object", "timeout": "number?"})
        if not self._audience.may(session, "pollctl"):
            return _wrong("You do not have permission to create polls.")
        options = [each for each in wanted["opts"] if isinstance(each, str)]
        if not options or len(options) != len(wanted["opts"]) or not all(map(_is_option, options)):
            return _wrong(f"Poll options must be 1-{LONGEST_OPTION} characters long.")
        poll = self._open(session, wanted["title"], options)
        if wanted.get("timeout", 0) > 0:
            poll.timer = self._audience.clock.call_later(wanted["timeout"], self._close)
        return {}

    def _ask(self, session: Session, rest: str) -> None:
        title, *options = rest.split(",")
        if self._audience.may(session, "pollctl"):
            self._open(session, title, options)

    def _open(self, session: Session, title: str, options: list[str]) -> Poll:
        self._close()
        self._poll = Poll(
            title=escape_all(title),
            options=[escape_all(each) for each in options],
            initiator=session.name,
            timestamp=self._audience.now_ms(),
        )
        self._audience.broadcast("newPoll", self._poll.as_event())
        return self._poll

    def vote(self, session: Session, data: object) -> None:
        """One vote for each address; a second one replaces the first."""
        wanted = as_object(data, {"option": "number"})
        poll = self._poll
        if poll is not None and self._audience.may(session, "pollvote") and 0 <= wanted["option"] < len(poll.options):
            poll.votes[session.ip] = int(wanted["option"])
            self._audience.broadcast("updatePoll", poll.as_event())

    def close_poll(self, session: Session, data: object) -> None:
        """End the poll."""
        if self._audience.may(session, "pollctl"):
            self._close()

    def forget(self) -> None:
        """The room is empty: no poll, no votes."""
        if self._poll is not None and self._poll.timer is not None:
            self._poll.timer.cancel()
        self._poll = None
        self._skips.clear()

    def _close(self) -> None:
        if self._poll is not None:
            self.forget()
            self._audience.broadcast("closePoll")


def _is_option(text: str) -> bool:
    return 1 <= len(text) <= LONGEST_OPTION


def _wrong(sentence: str) -> dict[str, Any]:
    return {"error": {"message": sentence}}
