"""Whether this portal is in charge: one that has moved to a server changes nothing any more.

Every change asks twice: `access.policy.require` before it begins, and `audit.trail.record`, the one writer of
events, in its transaction. Workers ask before they take anything up (`claims`, `unless_read_only`). Reading goes on,
and so does signing in for it.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.utils import timezone

from deployments.models import Move
from engine.errors import Conflict

P = ParamSpec("P")
T = TypeVar("T")

STILL_RECORDED = (
    *("person.signed_in", "person.signed_out", "person.sign_in_failed", "person.locked_out", "audit.exported"),
    *("backup.restored", "portal.move_failed", "portal.moved", "portal.arrived"),
)
"""Events that change nothing, and those of moving itself."""


class NotInCharge(Conflict):
    """Another portal is, or will be in a moment."""

    reason = "read_only"


def latest_move() -> Move | None:
    """The move that tells where this portal stands; None when it never moved."""
    return Move.objects.order_by("-pk").first()


def read_only_reason() -> NotInCharge | None:
    """Why nothing may be changed here; None while this portal is in charge."""
    move = latest_move()
    if move is None or move.state == Move.State.ARRIVED:
        return None
    if move.state == Move.State.GONE:
        return NotInCharge(f"This portal has moved to {move.url} and changes nothing any more.", hint="Go there.")
    if has_host_key(move.host_key):
        return NotInCharge(
            "This portal is arriving and not yet in charge.",
            hint=f"`manage.py install_portal {move.server}`, where it comes from, completes it.",
        )
    if move.until > timezone.now():
        return NotInCharge(f"This portal is moving to {move.url} just now.", hint="Try again in a minute.")
    return None  # whoever moved it died in the middle: it stays where it is


def refuse_change() -> None:
    """Raise NotInCharge unless this portal is in charge."""
    if why := read_only_reason():
        raise why


def unless_read_only(task: Callable[P, T]) -> Callable[P, T | None]:
    """For what workers do by themselves: nothing, while another portal is in charge."""

    @functools.wraps(task)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        return None if read_only_reason() else task(*args, **kwargs)

    return guarded


HOST_KEYS = Path("/etc/ssh")


def has_host_key(host_key: str) -> bool:
    """Whether a pinned host key is one of the machine that this process runs on."""
    wanted = host_key.split()[:2]
    return any(path.read_text().split()[:2] == wanted for path in HOST_KEYS.glob("ssh_host_*_key.pub"))
