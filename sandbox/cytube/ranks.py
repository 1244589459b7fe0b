"""Ranks inside a channel. The sentences are those of recording 13, the rest is CyTube's channel/ranks.js."""

import re
from collections.abc import Mapping

from sandbox.cytube.accounts import Accounts
from sandbox.cytube.audience import Audience, Command, Handler, Meta
from sandbox.cytube.frames import as_object
from sandbox.cytube.session import MODERATOR, Session

#: From this rank on somebody is an admin of the channel.
ADMIN = 3.0
OWNER = 4.0
_LEADING_NUMBER = re.compile(r"[+-]?\d+")
_SYNTAX = "Syntax: /rank <username> <rank>.  <rank> must be a positive integer > 1"
_NOT_ABOVE = (
    "Updating user rank failed: You can't promote someone to a rank equal or higher than yourself, "
    "or demote them to below rank 1."
)
_NOT_SELF = "Updating user rank failed: You can't promote or demote yourself."
_NOT_STORED = (
    "The user you promoted is not a registered account.  Any rank changes are temporary and not stored in the database."
)


class Ranks:
    """What people may do in one channel."""

    def __init__(self, audience: Audience, accounts: Accounts, *, registered: bool) -> None:
        self._audience = audience
        self._accounts = accounts
        self._registered = registered
        self._stored: dict[str, float] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {"setChannelRank": self.set_rank, "requestChannelRanks": self.send_ranks}

    def commands(self) -> Mapping[str, Command]:
        """CyTube's own chat commands that are handled here."""
        return {"rank": self._command}

    def _command(self, session: Session, rest: str, meta: Meta) -> None:
        name, _, number = rest.partition(" ")
        rank = _LEADING_NUMBER.match(number)
        if not name or rank is None:
            session.send("noflood", {"action": "/rank", "msg": _SYNTAX})
        else:
            self.set_rank(session, {"name": name, "rank": int(rank.group())})

    def of(self, session: Session) -> float:
        """Rank of a logged-in session in this channel."""
        if not session.registered or not self._registered:
            return session.site_rank
        account = self._accounts.find(session.name)
        default = account.rank if account else session.site_rank
        return max(session.site_rank, self._stored.get(session.name.lower(), default))

    def set_rank(self, session: Session, data: object) -> None:
        """Promote or demote somebody; a moderator's list of users changes its details with the rank."""
        wanted = as_object(data, {"name": "string", "rank": "number"})
        if session.rank < ADMIN:
            return
        name, rank = wanted["name"], wanted["rank"]
        if name.lower() == session.name.lower():
            session.send("channelRankFail", {"msg": _NOT_SELF})
            return
        target, account = self._audience.find(name), self._accounts.find(name)
        present = max(target.rank if target else 0.0, account.rank if account and target is None else 0.0)
        if rank < 1 or not _below(rank, session) or not _below(present, session):
            session.send("channelRankFail", {"msg": _NOT_ABOVE})
            return
        if account is not None:
            self._stored[name.lower()] = rank
        if target is not None:
            self._apply(target, rank)
        if account is None:
            session.send("channelRankFail", {"msg": _NOT_STORED})

    def send_ranks(self, session: Session, data: object) -> None:
        """Everybody with a stored rank above 1, for channel admins."""
        if session.rank < 3:
            return
        ranks = {account.name: account.rank for account in self._accounts.ranked()}
        for name, rank in self._stored.items():
            account = self._accounts.find(name)
            if account is not None:
                ranks[account.name] = rank
        listed = sorted(((name, rank) for name, rank in ranks.items() if rank > 1), key=lambda each: -each[1])
        session.send(
            "channelRanks", [{"name": name, "rank": rank, "channel": self._audience.name} for name, rank in listed]
        )

    def _apply(self, target: Session, rank: float) -> None:
        crossed = (target.rank >= MODERATOR) != (rank >= MODERATOR)
        target.rank = rank
        if crossed:
            self._audience.send_userlist(target)
        target.send("rank", rank)
        self._audience.announce_rank(target)


def _below(rank: float, session: Session) -> bool:
    """Ranks that the session may give and take: the lower ones, and among owners also their own."""
    return rank < session.rank or rank == session.rank == OWNER
