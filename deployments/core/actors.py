"""Who acts: a user, a token, the shell or the system, as text that the record keeps."""

from dataclasses import dataclass
from typing import Literal

from deployments.core.texts import one_line
from deployments.models import Role, Scope

TOKEN_MARK = "/token:"  # noqa: S105  (what stands between a person and their token)
PUSH_MARK = "push:"
"""How the name of a token begins that a webhook stands for."""
MAX_ACTOR = 150


@dataclass(frozen=True)
class Actor:
    """Whoever acts: a person, a token, a login on the shell, or the system itself."""

    kind: Literal["user", "token", "shell", "system"]
    name: str
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[Scope] | None = None
    person: str = ""
    environment_id: int | None = None
    applications: frozenset[str] | None = None
    """Where its roles hold; None is everywhere."""
    maker: str = ""
    """Of a person's token: who made it, by the audit trail, where that is not the person."""

    def __str__(self) -> str:
        """The text that the record keeps: `alice`, `alice/token:ci`, `shell:root`, `system:reaper`."""
        if self.kind == "user":
            return self.name
        if self.kind == "token" and self.person:
            text = f"{self.person}{TOKEN_MARK}{self.name}"
            # the columns that keep it are that long; four eyes needs the person, nobody needs the token's whole name
            return text if len(text) <= MAX_ACTOR else self.person
        return f"{self.kind}:{self.name}"[:MAX_ACTOR]

    @property
    def identity(self) -> str:
        """Who answers for it; four eyes compares these, so a token is its owner."""
        return self.person or str(self)

    @property
    def people(self) -> frozenset[str]:
        """Everyone who has it in hand: its person, and whoever made the credential."""
        return frozenset({self.identity, self.maker} - {""})


def identity_in(text: str) -> str:
    """Who answers for an actor whose text was recorded: `alice` for `alice/token:ci`. User names hold no slash."""
    return text.split(TOKEN_MARK, 1)[0]


def in_words(text: str) -> str:
    """An actor whose text was recorded, for a page: `alice, by token ci`."""
    person, mark, token = text.partition(TOKEN_MARK)
    return f"{person}, by token {token}" if mark else text


def shell_actor(login: str) -> Actor:
    """The actor for a management command without a person behind it."""
    return Actor("shell", one_line(login))  # the environment may say anything


def system_actor(part: str) -> Actor:
    """The actor for what the portal does by itself (reaper, bake, schedule)."""
    return Actor("system", part)
