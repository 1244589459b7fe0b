"""The snapshot: everything that a deployment will use, as one frozen value; its seal; what two of them differ in.

A record keeps it as JSON (`Deployment.snapshot`), and the seal is over those very bytes. Everybody who reads it reads
the value (`Deployment.sealed`). Older portals wrote fewer words: what a document leaves out is empty here, and is left
out again by `to_json`, so that what was sealed once keeps its seal.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.lifecycle import Kind
from engine.errors import InvalidRequest

FORMAT = 1
_WORDS = {
    "release": "the release",
    "configuration": "the configuration",
    "targets": "the servers",
    "plan": "the plan",
    "policy": "the policy",
    "consent": "the success that it goes back to",
}


class _Sealed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SealedRelease(_Sealed):
    """Which release, by the digests of its manifest and of its artifact."""

    identifier: str = ""
    version: str = ""
    manifest_digest: str = ""
    artifact_digest: str = ""


class SealedConfiguration(_Sealed):
    """The rendered configuration files, and the digest that a server knows them by."""

    digest: str = ""
    files: Mapping[str, str] = {}

    @property
    def contents(self) -> dict[str, bytes]:
        """The files as a server gets them."""
        return {name: text.encode() for name, text in self.files.items()}


class SealedBase(_Sealed):
    """The release that ran on a server when the snapshot was taken."""

    release: str
    manifest_digest: str = ""


class SealedTarget(_Sealed):
    """One server: where it is, who it proved to be, what it gets and what it ran."""

    server: str
    host: str = ""
    port: int = 22
    user: str = ""
    host_key: str = ""
    jump: str = ""
    jump_host_key: str = ""
    roles: tuple[str, ...] = ()
    unit_files: Mapping[str, str] = {}
    secrets: Mapping[str, int] = {}
    base: SealedBase | None = None


class SealedHook(_Sealed):
    """A command that the release runs at a moment of its deployment, and what undoes it; as whom, for how long."""

    moment: str
    role: str
    command: tuple[str, ...]
    back: tuple[str, ...] = ()
    deadline: int | float = 60
    account: str = "application"

    @property
    def shown(self) -> str:
        """As one would type it."""
        return shlex.join(self.command)

    @property
    def words(self) -> str:
        """As whom, for how long, and whether it can be undone; for people."""
        account = "the application's account" if self.account == "application" else "the deploying account"
        back = f"way back: {shlex.join(self.back)}" if self.back else self._no_back
        return f"as {account}, {self.deadline:g} s at most; {back}"

    @property
    def _no_back(self) -> str:
        if self.moment == "after_success":
            return "a failure is said, and takes nothing back"
        return "no way back: what it does stays, also when the release is taken back"


class SealedPlan(_Sealed):
    """The steps of each server in their order, with their deadlines in seconds; how many releases are kept."""

    steps: tuple[str, ...] = ()
    deadlines: Mapping[str, int | float] = {}
    keep: int = 0
    hooks: tuple[SealedHook, ...] = ()


BATCH, MAX_FAILURES = 10, 0
"""What a snapshot means that does not say it: servers that are worked on side by side, and how many may fail."""
ROUND_SECONDS = 600
"""What a round of servers may take that are worked on side by side, and so what each server may take."""


class SealedPolicy(_Sealed):
    """What the environment asked for when the snapshot was taken."""

    signed_approvals: bool = False
    approvals_required: int = 0
    on_failure: str = ""
    bake_seconds: int = 0
    bake_action: str = ""
    batch: int = BATCH
    max_failures: int = MAX_FAILURES
    releases_from: str = "versions"


class Consent(_Sealed):
    """The success that a rollback goes back to, and the seal that was approved then."""

    deployment: int
    seal: str = ""


class Imported(_Sealed):
    """A run that a server's journal told of: its number there. Nobody here sealed it."""

    number: str
    server: str = ""


class Snapshot(_Sealed):
    """What one deployment will use; `consent` is a rollback's, `imported` of what was made without this portal."""

    format: int = FORMAT
    imported: Imported | None = None
    kind: Kind = Kind.DEPLOYMENT
    environment: str = ""
    application: str = ""
    release: SealedRelease = SealedRelease()
    configuration: SealedConfiguration = SealedConfiguration()
    targets: tuple[SealedTarget, ...] = ()
    plan: SealedPlan = SealedPlan()
    policy: SealedPolicy = SealedPolicy()
    consent: Consent | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The value of a stored document. Raises InvalidRequest when it is none."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            where = ", ".join(sorted({".".join(str(part) for part in each["loc"]) for each in error.errors()}))
            raise InvalidRequest(
                f"The stored snapshot cannot be read: {where}.",
                hint="Somebody changed it in the database; request the deployment again.",
                reason="snapshot_unreadable",
            ) from error

    def to_json(self) -> dict[str, Any]:
        """The document: what was said, and nothing that was left out."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def seal(self) -> str:
        """What an approver approves."""
        return self.with_seal()[1]

    def with_seal(self) -> tuple[dict[str, Any], str]:
        """The document as a record keeps it, and the seal over it."""
        document = self.to_json()
        return document, seal(document)

    @property
    def rounds(self) -> list[list[SealedTarget]]:
        """The servers in their order, as groups of those that are worked on at a time: the canary, then batches.

        The portal's own server ends the worker that deploys to it, so it goes alone, and last.
        """
        alone = [target for target in self.targets if "portal" in target.roles]
        others = [target for target in self.targets if "portal" not in target.roles]
        batch = max(1, self.policy.batch)
        batches = [others[number : number + batch] for number in range(1, len(others), batch)]
        return [group for group in (others[:1], *batches, *([target] for target in alone)) if group]

    @property
    def carried_out(self) -> SealedPlan:
        """What of the plan happens: without hooks, and their moments, of roles that none of the servers has."""
        roles = {role for target in self.targets for role in target.roles}
        hooks = tuple(hook for hook in self.plan.hooks if hook.role in roles)
        nowhere = {hook.moment for hook in self.plan.hooks} - {hook.moment for hook in hooks}
        steps = tuple(step for step in self.plan.steps if step not in nowhere)
        return self.plan.model_copy(update={"hooks": hooks, "steps": steps})

    @property
    def tolerated(self) -> int:
        """How many servers may fail and stay as they are: none on the way back, which is a way off what is bad."""
        return 0 if self.kind == Kind.ROLLBACK else self.policy.max_failures

    @property
    def course(self) -> str:
        """In which order the servers are worked on, in words; empty for a single one."""
        groups = self.rounds
        if len(groups) < 2:
            return ""
        most = max(len(group) for group in groups[1:])
        pace = "one after the other" if most == 1 else f"{most} at a time"
        failures = f"; {self.tolerated} of them may fail and stay as they are" if self.tolerated else ""
        return f"{groups[0][0].server} first, then the others, {pace}{failures}"

    def target(self, server: str) -> SealedTarget:
        """The description of one server. Raises InvalidRequest when it names no such server."""
        for target in self.targets:
            if target.server == server:
                return target
        raise InvalidRequest(f"The sealed snapshot names no server {server}.", reason="snapshot_unreadable")


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one byte form of a snapshot's document: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(document: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical form of a stored document, whatever is in it."""
    return hashlib.sha256(canonical(document)).hexdigest()


def differences(sealed: Snapshot, now: Snapshot) -> list[str]:
    """One sentence for every sealed input that differs now; empty when nothing does."""
    before, after = sealed.to_json(), now.to_json()
    plain = [key for key in ("kind", "environment", "application") if before.get(key) != after.get(key)]
    found = [f"The {key} changed." for key in plain]
    for key, word in _WORDS.items():
        if before.get(key) == after.get(key):
            continue
        if key == "targets":
            found += _target_differences(before.get(key, []), after.get(key, []))
        elif isinstance(before.get(key), dict) and isinstance(after.get(key), dict):
            found.append(f"{word[0].upper()}{word[1:]} changed: {_changed_keys(before[key], after[key])}.")
        else:
            found.append(f"{word[0].upper()}{word[1:]} changed.")
    return found


def _changed_keys(before: dict[str, Any], after: dict[str, Any]) -> str:
    keys = sorted(set(before) | set(after))
    return ", ".join(key for key in keys if before.get(key) != after.get(key))


def _target_differences(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    old = {target["server"]: target for target in before}
    new = {target["server"]: target for target in after}
    found = [f"Server {name} was added." for name in new if name not in old]
    found += [f"Server {name} was removed." for name in old if name not in new]
    for name in old.keys() & new.keys():
        if old[name].get("base") != new[name].get("base"):
            found.append(f"Another release runs on {name} now.")
        keys = {*old[name], *new[name]} - {"base"}
        rest = [key for key in keys if old[name].get(key) != new[name].get(key)]
        if rest:
            found.append(f"Server {name} changed: {', '.join(sorted(rest))}.")
    if not found:
        found.append("The order of the servers changed.")
    return sorted(found)
