"""A mistake in somebody's project, told so that they can correct it."""

import re
from collections.abc import Iterable, Sized
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is, what is wrong, and what to do.

    `key` is a key path of deploy.toml (`roles.bot.health.url`) or a file of the tree; `reason` is the stable word
    of the refusal that this mistake leads to (see `errors`).
    """

    key: str
    wrong: str
    hint: str
    reason: str = "bad_deploy_toml"

    def __str__(self) -> str:
        return f"{self.key}: {self.wrong}. {self.hint}".strip()


def key_path(parts: Iterable[int | str]) -> str:
    """A key path as TOML writes it: `environments.test.config."bot.json"`, positions of a list as `units[0]`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
        path += f".{name}" if path else name
    return path or "deploy.toml"


def counted(problems: Sized) -> str:
    """How many there are, in words: "one mistake" or "3 mistakes"."""
    return "one mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
