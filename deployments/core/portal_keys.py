"""Whether this process has the keys of the portal whose database it uses: with others it must not start.

It would discard the tasks of the others, whose signatures it cannot check, and encrypt what they cannot read.
"""

import hashlib
from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError, transaction

from deployments.models import Environment, PortalKeys
from deployments.models.encryption import UndecryptableValue
from engine.errors import Conflict

_ROW = 1
_SALT = b"cytube-ops portal keys"
"""The same everywhere: keys are long and random as a rule, and scrypt is slow for those that are not."""


class OtherKeys(Conflict):
    """The keys of this process are not those of the portal's history."""

    reason = "other_keys"
    permanent = True


def require_same() -> bool:
    """Return when this process has the history's keys; a first start, and a newest key, become the history's.

    Raises OtherKeys, and changes nothing then. A database without the table, or away, is for others to report: False.
    """
    try:
        why = _differences()
    except DatabaseError:
        return False
    except UndecryptableValue:
        why = "PORTAL_ENCRYPTION_KEYS does not read its secrets"
    if why:
        raise OtherKeys(
            f"This process has other keys than the portal whose database it uses: {why}.",
            hint="Give it that portal's PORTAL_SECRET_KEY and PORTAL_ENCRYPTION_KEYS (without variables they are in "
            "`secrets/` of its PORTAL_STATE_DIR). Only where they are lost, or were replaced on purpose: "
            "`manage.py rotate_secrets --adopt`.",
        )
    return True


def remember(*, only_newest: bool = False) -> None:
    """From now on the keys of this process are the history's: all, or of those that encrypt the newest alone."""
    keys = settings.ENCRYPTION_KEYS[:1] if only_newest else settings.ENCRYPTION_KEYS
    fields = {"signing": fingerprint(settings.SECRET_KEY), "encryption": [fingerprint(key) for key in keys]}
    PortalKeys.objects.update_or_create(pk=_ROW, defaults=fields)


@lru_cache(maxsize=32)
def fingerprint(key: str) -> str:
    """32 hexadecimal digits that tell keys apart."""
    return hashlib.scrypt(key.encode(), salt=_SALT, n=1 << 14, r=8, p=1, dklen=16).hex()


def _differences() -> str:
    """In words; empty when there are none."""
    signing = fingerprint(settings.SECRET_KEY)
    encrypting = [fingerprint(key) for key in settings.ENCRYPTION_KEYS]
    found = PortalKeys.objects.filter(pk=_ROW).first() or _adopt(signing, encrypting)
    lacking = [known for known in found.encryption if known not in encrypting]
    why = ["PORTAL_SECRET_KEY is another"] if found.signing != signing else []
    if lacking:
        why.append(f"PORTAL_ENCRYPTION_KEYS lacks {len(lacking)} of {len(found.encryption)} that secrets may need")
    if not why and len(encrypting) > len(found.encryption):
        _add(encrypting)
    return ", ".join(why)


def _adopt(signing: str, encrypting: list[str]) -> PortalKeys:
    """The first start with this table: of several at once one wins. Raises UndecryptableValue with strange keys."""
    first = {"signing": signing, "encryption": encrypting}
    with transaction.atomic():
        found, _ = PortalKeys.objects.get_or_create(pk=_ROW, defaults=first)
        # an installation from before has secrets already: its own keys read them
        Environment.objects.exclude(private_key="").values_list("private_key", flat=True).first()
    return found


def _add(encrypting: list[str]) -> None:
    """Keys that came on top of all the history's: others need them from now on."""
    with transaction.atomic():
        row = PortalKeys.objects.select_for_update().get(pk=_ROW)
        row.encryption = list(dict.fromkeys([*encrypting, *row.encryption]))
        row.save(update_fields=["encryption"])
