"""Which values a directive of a release's unit may have: a rule per kind of value, see unit_rules."""

from __future__ import annotations

import re
from typing import Callable, Collection, List, NamedTuple

from .unit_file import commands

PORTAL = "rosey-portal"
WATCHERS = "rosey-watch"

_OF_ROLES = {PORTAL: ("cytube-web",), WATCHERS: ("cytube-prometheus", "cytube-alertmanager")}
"""Directories of the roles portal and monitoring, beside those that are called as an application or an account."""

_TARGETS = (
    "basic.target graphical.target local-fs.target multi-user.target network-online.target network.target "
    "nss-lookup.target paths.target remote-fs.target sockets.target sysinit.target time-set.target time-sync.target "
    "timers.target"
)
TARGETS = frozenset(_TARGETS.split())
"""Those that say how far a boot has come, and start nothing of consequence when they are wanted."""
_PROGRAM = re.compile(r"[@:-]*[A-Za-z0-9_/][A-Za-z0-9_.+/-]*")
_HIDDEN = re.compile(r"(?:^|\s);\s+[\"'\\@:-]*[+!|]")
_SAFE_PATH = re.compile(r"(?:/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*|/\.[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+")
_LISTEN = re.compile(r"(?:(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9a-fA-F:.]+\]):)?([0-9]{1,5})")


class Around(NamedTuple):
    """What a unit's application is: `name`, the `accounts` its role runs as, and all of its `units`."""

    name: str
    accounts: Collection[str]
    units: Collection[str]


# A rule: the hint when the value is not allowed, else "".
Rule = Callable[[str, Around, str], str]


def free(value: str, around: Around, unit: str) -> str:
    return ""


def among(*words: str) -> Rule:
    def rule(value: str, around: Around, unit: str) -> str:
        return "" if value in words else "One of: %s." % ", ".join(word or "(empty)" for word in words)

    return rule


def between(least: int, most: int) -> Rule:
    def rule(value: str, around: Around, unit: str) -> str:
        known = re.fullmatch(r"[0-9]{1,4}", value) and least <= int(value) <= most
        return "" if known else "A number from %d to %d." % (least, most)

    return rule


def own_units(*more: str) -> Rule:
    def rule(value: str, around: Around, unit: str) -> str:
        strange = [word for word in value.split() if word not in around.units and word not in more]
        also = ", and %s" % ", ".join(sorted(more)) if more else ""
        return "Name units of this release%s." % also if strange else ""

    return rule


def one_unit(value: str, around: Around, unit: str) -> str:
    """The unit that a timer or a path starts; empty would mean another one than was named before.

    systemd passes over its own name, and what is no service for a socket, and starts the namesake instead.
    """
    return "" if value in around.units and value != unit else "Name another unit of this release."


def one_service(value: str, around: Around, unit: str) -> str:
    return one_unit(value, around, unit) if value.endswith(".service") else "Name a service of this release."


def any_unit(value: str, around: Around, unit: str) -> str:
    named = all(re.fullmatch(r"[A-Za-z0-9:_.@-]+", word) for word in value.split())
    return "" if named else "Names of units, without quotes and %."


def account(value: str, around: Around, unit: str) -> str:
    hint = "Provisioning makes these accounts for it: %s." % ", ".join(around.accounts)
    return "" if value in around.accounts else hint


def accounts(value: str, around: Around, unit: str) -> str:
    return next(filter(None, (account(word, around, unit) for word in value.split() or [""])), "")


def command(value: str, around: Around, unit: str) -> str:
    plain = all(_PROGRAM.fullmatch(word) for word in commands(value))
    if plain and not _HIDDEN.search(value):
        return ""
    return "A command begins with a plain path, before it at most @, - or a colon: +, ! and | give it root's rights."


def bounding(value: str, around: Around, unit: str) -> str:
    return "" if not value or value.startswith("~") else "Only take capabilities away: empty, or with ~ in front."


def _below(value: str, *directories: str) -> bool:
    return bool(_SAFE_PATH.fullmatch(value)) and value.startswith(directories)


def _etc(around: Around) -> List[str]:
    return ["/etc/%s/" % around.name] if PORTAL in around.accounts else []


def environment_file(value: str, around: Around, unit: str) -> str:
    tree = "/opt/" + around.name
    known = _below(value[value.startswith("-") :], tree + "/current/", tree + "/shared/config/", *_etc(around))
    return "" if not value or known else "root reads it: a file below %s/current or %s/shared/config." % (tree, tree)


def credential(value: str, around: Around, unit: str) -> str:
    name, _, path = value.partition(":")
    secrets = "/opt/%s/shared/secrets/" % around.name
    known = re.fullmatch(r"[A-Za-z0-9_.-]+", name) and _below(path, secrets, *_etc(around))
    return "" if known else "root reads it: NAME:%sNAME." % secrets


def directories(value: str, around: Around, unit: str) -> str:
    strange = [word for word in value.split() if not own_directory(word, around)]
    return "Names without a slash: {0}, or what begins with {0}-.".format(around.name) if strange else ""


def own_directory(word: str, around: Around) -> bool:
    """Whether the name of a directory or a socket is the application's; a unit may be called as somebody else's are."""
    stems = [around.name, *around.accounts, *(each for made in around.accounts for each in _OF_ROLES.get(made, ()))]
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9_-]*", word)) and any(
        word == stem or word.startswith(stem + "-") for stem in stems
    )


def tree_paths(value: str, around: Around, unit: str) -> str:
    strange = [word for word in value.split() if not _in_tree(word, around)]
    return "Below /opt/%s." % around.name if strange else ""


def seen_path(value: str, around: Around, unit: str) -> str:
    """A path that root looks at for a condition, or watches: its answer tells what lies where nobody else may look."""
    path = re.sub(r"^[|]?[ \t]*!?[ \t]*", "", value).rstrip("/")
    kept = re.match(r"/(?:run|var/(?:lib|cache|log))/([^/]+)", path)
    own = _in_tree(path, around) or _below(path, *_etc(around)) or (kept and own_directory(kept.group(1), around))
    plain = not path or (own and _SAFE_PATH.fullmatch(path))
    return "" if plain else "root looks there: a path below /opt/%s, without a pattern." % around.name


def _in_tree(path: str, around: Around) -> bool:
    tree = "/opt/" + around.name
    return path == tree or _below(path, tree + "/")


def listen(value: str, around: Around, unit: str) -> str:
    port = _LISTEN.fullmatch(value)
    if not value or (port and 1024 <= int(port.group(1)) <= 65535):
        return ""
    file = re.fullmatch(r"(?:/run/|%t/|@)([a-z0-9][a-z0-9_-]*)(?:\.sock)?", value)
    known = file is not None and own_directory(file.group(1), around)
    said = "A port from 1024 on, with or without an address, or /run/{0}.sock, or /run/{0}-….sock."
    return "" if known else said.format(around.name)


TRUE = ("yes", "true", "on", "1")
YES = among(*TRUE)
NO = among("no", "false", "off", "0")
OUTPUT = among("inherit", "null", "journal", "socket")
