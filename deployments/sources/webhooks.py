"""What GitHub, GitLab and Gitea send about a push: proved by its signature first, and only then read.

PortalError
└── UnsignedPush                no signature, a wrong one, or nothing that we know (HTTP 403)
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from deployments.core.texts import one_line
from deployments.models import PushSource
from engine.errors import InvalidRequest, PortalError

Kind = PushSource.Kind
PUSHES = frozenset({"push", "Push Hook", "Tag Push Hook"})
_EVENT = {Kind.GITHUB: "X-GitHub-Event", Kind.GITLAB: "X-Gitlab-Event", Kind.GITEA: "X-Gitea-Event"}
_NUMBER = {
    Kind.GITHUB: ("X-GitHub-Delivery",),
    Kind.GITLAB: ("Idempotency-Key", "X-Gitlab-Event-UUID"),
    Kind.GITEA: ("X-Gitea-Delivery",),
}


class UnsignedPush(PortalError):
    """Nothing of it is believed, and nothing of it was read."""

    reason = "push_unsigned"
    http_status = 403

    def __init__(self) -> None:
        super().__init__(
            "No push source of this name takes this delivery: its signature is missing or wrong.",
            hint="Compare address and secret with those that were shown when the source was made.",
        )


@dataclass(frozen=True)
class Told:
    """What a signed delivery says. `account` is the number of GitHub's account that pushed."""

    number: str
    digest: str
    event: str
    ref: str = ""
    commit: str = ""
    repository: str = ""
    pushed_by: str = ""
    account: int = 0

    @property
    def deletes(self) -> bool:
        """Whether the ref is gone."""
        return not self.commit.strip("0")


def proved(source: PushSource | None, headers: Mapping[str, str], body: bytes) -> PushSource:
    """The source, once a delivery is signed with its secret. Raises UnsignedPush."""
    if not _signed(source, headers, body) or source is None:
        raise UnsignedPush
    return source


def read_delivery(source: PushSource, headers: Mapping[str, str], body: bytes) -> Told:
    """What a proved delivery says. Raises InvalidRequest."""
    kind = Kind(source.kind)
    number = next((headers[name] for name in _NUMBER[kind] if headers.get(name)), "")
    if not 0 < len(number) <= 100 or not number.isascii() or not number.isprintable():
        raise InvalidRequest(f"The delivery has no {_NUMBER[kind][0]}.", hint="Nothing was done.")
    event, digest = headers.get(_EVENT[kind], ""), hashlib.sha256(body).hexdigest()
    if event not in PUSHES:
        return Told(number=number, digest=digest, event=event)
    return _read(kind, body, Told(number=number, digest=digest, event=event))


def _signed(source: PushSource | None, headers: Mapping[str, str], body: bytes) -> bool:
    """Compared in constant time, for a source that does not exist too: its name is not found out that way."""
    secret = str.__str__(source.secret).encode() if source else b"nobody's"
    kind = Kind(source.kind) if source else Kind.GITHUB
    if kind == Kind.GITLAB:
        return hmac.compare_digest(secret, headers.get("X-Gitlab-Token", "").encode(errors="replace"))
    proof = hmac.new(secret, body, hashlib.sha256).hexdigest()
    given = headers.get("X-Hub-Signature-256" if kind == Kind.GITHUB else "X-Gitea-Signature", "")
    expected = f"sha256={proof}" if kind == Kind.GITHUB else proof
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


Name = Annotated[str, BeforeValidator(lambda value: one_line(value)[:100] if isinstance(value, str) else value)]


class _Account(BaseModel):
    id: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    login: Name = ""


class _Repository(BaseModel):
    full_name: Annotated[str, Field(max_length=250)]


class _Project(BaseModel):
    path_with_namespace: Annotated[str, Field(max_length=250)]


class _Pushed(BaseModel):
    """What all say; `repository` and `sender` are of GitHub and Gitea, `project` and `user_username` of GitLab."""

    ref: Annotated[str, Field(max_length=250, pattern=r"^refs/(heads|tags)/[^\x00-\x20\x7f]+$")]
    after: Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
    repository: _Repository | None = None
    project: _Project | None = None
    sender: _Account = _Account()
    user_username: Name = ""


def _read(kind: Kind, body: bytes, known: Told) -> Told:
    try:
        said = _Pushed.model_validate_json(body)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise InvalidRequest(
            f"This is no push of {kind.label}: {one_line(where)}: {one_line(first['msg'])[:200]}.",
            hint="The webhook's content type is application/json.",
        ) from error
    gitlab = kind == Kind.GITLAB
    told = replace(
        known, ref=said.ref, commit=said.after, pushed_by=said.user_username if gitlab else said.sender.login
    )
    if gitlab:
        return replace(told, repository=said.project.path_with_namespace if said.project else "")
    return replace(told, repository=said.repository.full_name if said.repository else "", account=said.sender.id)
