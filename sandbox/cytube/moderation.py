"""Kicking, banning and muting. The sentences are those of recording 12, 19 and 21."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.cytube.accounts import Accounts
from sandbox.cytube.audience import Audience, Command, Handler
from sandbox.cytube.frames import as_object
from sandbox.cytube.session import Session

ANY_ADDRESS = "*"


@dataclass(frozen=True, slots=True)
class Ban:
    """A name (``ip`` "*") or an address that may not come in."""

    id: int
    ip: str
    name: str
    reason: str
    by: str
    code: str

    def as_event(self) -> dict[str, object]:
        """The ban as ``banlist`` shows it, the address hidden."""
        return {"id": self.id, "ip": self.code, "name": self.name, "reason": self.reason, "bannedby": self.by}


class Moderation:
    """Who has been shown the door of one channel, and who may not speak."""

    def __init__(self, audience: Audience, accounts: Accounts) -> None:
        self._audience = audience
        self._accounts = accounts
        self._bans: dict[int, Ban] = {}
        self._last_id = 0

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {"requestBanlist": self.send_bans, "unban": self.unban}

    def commands(self) -> Mapping[str, Command]:
        """CyTube's own chat commands that are handled here."""
        return {
            "kick": lambda session, rest, meta: self.kick(session, rest),
            "kickanons": lambda session, rest, meta: self.kick_anonymous(session),
            "ban": lambda session, rest, meta: self.ban_name(session, rest),
            "ipban": lambda session, rest, meta: self.ban_address(session, rest),
            "banip": lambda session, rest, meta: self.ban_address(session, rest),
            "mute": lambda session, rest, meta: self.mute(session, rest, shadow=False),
            "smute": lambda session, rest, meta: self.mute(session, rest, shadow=True),
            "unmute": lambda session, rest, meta: self.unmute(session, rest),
            "unsmute": lambda session, rest, meta: self.unmute(session, rest),
        }

    def is_address_banned(self, session: Session) -> bool:
        """Whether the session comes from a banned address."""
        return any(ban.ip == session.ip for ban in self._bans.values())

    def is_name_banned(self, name: str) -> bool:
        """Whether the name is on the list."""
        return any(ban.ip == ANY_ADDRESS and ban.name == name.lower() for ban in self._bans.values())

    def enforce(self, session: Session) -> None:
        """Kick a member whose name is banned: this comes after the whole join and the login (recording 21)."""
        if self.is_name_banned(session.name) and session in self._audience.members:
            self._audience.expel(session, "You are banned from this channel.")
            self._audience.whisper(f"{session.name} was kicked (name is banned)")

    def kick(self, session: Session, rest: str) -> None:
        """``/kick NAME [REASON]``; silent when the name is not here or the user may not kick at all."""
        if not self._audience.may(session, "kick"):
            return
        name, _, reason = rest.strip().partition(" ")
        if not name:
            sentence = "No kick target specified.  If you're trying to kick anonymous users, use /kickanons"
            session.send("errorMsg", {"msg": sentence})
            return
        target = self._audience.find(name)
        if target is None:
            return
        if target.rank >= session.rank:
            session.send("errorMsg", {"msg": f"You do not have permission to kick {target.name}"})
            return
        self._audience.expel(target, reason)
        self._audience.whisper(f"{session.name} kicked {target.name}")

    def kick_anonymous(self, session: Session) -> None:
        """``/kickanons``: everybody without a name has to go."""
        if not self._audience.may(session, "kick"):
            return
        for member in [member for member in self._audience.members if not member.name]:
            self._audience.expel(member, "All anonymous users were kicked")
        self._audience.whisper(f"{session.name} kicked all anonymous users.")

    def ban_name(self, session: Session, rest: str) -> None:
        """``/ban NAME [REASON]``: whoever bears the name goes, and does not come back."""
        name, reason = self._bannable(session, rest)
        if not name:
            return
        if self.is_name_banned(name):
            session.send("errorMsg", {"msg": f"{name} is already banned"})
            return
        self.add_name_ban(name, reason=reason, by=session.name)

    def add_name_ban(self, name: str, *, reason: str, by: str) -> None:
        """Put a name on the list and show its bearer out."""
        self._add(ip=ANY_ADDRESS, name=name.lower(), reason=reason, by=by, code=ANY_ADDRESS)
        self._audience.whisper(f"{by} namebanned {name.lower()}")
        self._show_out(self._audience.find(name))

    def lift_name_ban(self, name: str) -> bool:
        """Take a name off the list without a word; False when it is not on it."""
        ban = next((ban for ban in self._bans.values() if ban.ip == ANY_ADDRESS and ban.name == name.lower()), None)
        if ban is not None:
            del self._bans[ban.id]
        return ban is not None

    def ban_address(self, session: Session, rest: str) -> None:
        """``/ipban NAME [REASON]``: the address of a member, and the name as well."""
        name, reason = self._bannable(session, rest)
        target = self._audience.find(name)
        if target is None:
            return
        code = self._audience.code(target)
        self._add(ip=target.ip, name=name, reason=reason, by=session.name, code=code)
        self._audience.whisper(f"{session.name} banned {code} ({name})")
        self._show_out(target)
        if not self.is_name_banned(name):
            self.add_name_ban(name, reason=reason, by=session.name)

    def unban(self, session: Session, data: object) -> None:
        """Take one entry off the list."""
        wanted = as_object(data, {"id": "number"})
        if not self._audience.may(session, "ban"):
            return
        ban = self._bans.pop(wanted["id"], None)
        if ban is not None:
            needed = self._audience.permissions["ban"]
            self._audience.broadcast_from(needed, "banlistRemove", {"id": ban.id, "name": ban.name})
            self._audience.whisper(f"{session.name} unbanned {ban.name}")

    def send_bans(self, session: Session, data: object) -> None:
        """The list, for those who may ban."""
        if self._audience.may(session, "ban"):
            session.send("banlist", [ban.as_event() for ban in self._bans.values()])

    def mute(self, session: Session, rest: str, *, shadow: bool) -> None:
        """``/mute NAME`` or ``/smute NAME``; of a shadow mute only moderators hear."""
        target = self._mutable(session, rest, "/smute" if shadow else "/mute")
        if target is None:
            return
        target.muted, target.shadow_muted = True, shadow
        if shadow:
            meta = target.meta(full=True, code=self._audience.code(target))
            self._audience.broadcast_from(2, "setUserMeta", {"name": target.name, "meta": meta})
        else:
            self._audience.announce_meta(target)
        self._audience.whisper(f"{session.name} {'shadowmuted' if shadow else 'muted'} {target.name}")

    def unmute(self, session: Session, rest: str) -> None:
        """``/unmute NAME``, for both kinds."""
        target = self._mutable(session, rest, "/unmute")
        if target is None:
            return
        target.muted = target.shadow_muted = False
        self._audience.whisper(f"{session.name} unmuted {target.name.lower()}")
        self._audience.announce_meta(target)

    def _mutable(self, session: Session, rest: str, command: str) -> Session | None:
        if not self._audience.may(session, "mute"):
            return None
        name = rest.strip().partition(" ")[0]
        target = self._audience.find(name)
        if target is None:
            session.send("errorMsg", {"msg": f"{command} target {name} not present in channel."})
            return None
        if target.rank >= session.rank:
            session.send("errorMsg", {"msg": f"You don't have permission to {command[1:]} {target.name}"})
            return None
        return target

    def _bannable(self, session: Session, rest: str) -> tuple[str, str]:
        name, _, reason = rest.strip().partition(" ")
        name = name.lower()
        wrong = self._wrong_with_ban(session, name)
        if wrong:
            session.send("errorMsg", {"msg": wrong})
            return "", ""
        account, target = self._accounts.find(name), self._audience.find(name)
        ranks = [account.rank if account else 0.0, target.rank if target else 0.0]
        if max(ranks) >= session.rank:
            session.send("errorMsg", {"msg": f"You don't have permission to ban {name}"})
            return "", ""
        return name, reason

    def _wrong_with_ban(self, session: Session, name: str) -> str:
        if not name:
            return "No ban target specified."
        if not self._audience.may(session, "ban"):
            return "You do not have ban permissions on this channel"
        if name == session.name.lower():
            session.send("costanza", {"msg": "You can't ban yourself"})
            return "You cannot ban yourself"
        return ""

    def _add(self, *, ip: str, name: str, reason: str, by: str, code: str) -> None:
        self._last_id += 1
        self._bans[self._last_id] = Ban(self._last_id, ip=ip, name=name, reason=reason, by=by, code=code)

    def _show_out(self, target: Session | None) -> None:
        if target is not None:
            self._audience.expel(target, "You're banned!")
