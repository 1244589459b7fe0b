"""Which names CyTube accepts, and how it hides addresses. Source: recording 01, 07, 08 and 24."""

import base64
import functools
import hashlib
import re

_USER = re.compile(r"[\w-]{1,20}", re.ASCII)
_CHANNEL = re.compile(r"[\w-]{1,30}", re.ASCII)
_RESERVED = re.compile(r"(.*[-_])?(admin(istrator)?|owner)([-_].*)?", re.IGNORECASE)
_LOOK_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "-": None, "_": None})


def is_user_name(name: str) -> bool:
    """1 to 20 of a-z, A-Z, 0-9, - and _."""
    return _USER.fullmatch(name) is not None


def is_channel_name(name: str) -> bool:
    """1 to 30 of a-z, A-Z, 0-9, - and _."""
    return _CHANNEL.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Names that nobody may take, such as ``admin`` or ``my-owner``."""
    return _RESERVED.fullmatch(name) is not None


def skeleton(name: str) -> str:
    """What is left of a name when look-alike characters are made equal: ``testb0t`` is ``testbot``."""
    return name.lower().translate(_LOOK_ALIKE)


@functools.lru_cache(maxsize=4096)
def cloak(ip: str, salt: str) -> str:
    """The address as moderators see it: one short code for each part, so that neighbours share their beginning."""
    parts = re.split(r"[.:]", ip)
    codes = []
    for count in range(1, len(parts) + 1):
        digest = hashlib.sha256(f"{salt}{'.'.join(parts[:count])}".encode()).digest()
        codes.append(base64.b64encode(digest).decode()[:3])
    return ".".join(codes)
