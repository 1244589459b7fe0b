"""What this machine knows about consent by itself, in files that no writer of the database can change.

`allowed_signers` in the state directory (OpenSSH's own format) holds the SSH keys whose signatures count here,
`allowed_passkeys` the passkeys; `anchored.json` the servers, by host key, that nothing unsigned reaches, whatever the
database says. Whoever may write these files decides: the portal's account on its machine, by `manage.py approvals`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from deployments.access.signatures import NAMESPACE
from engine.passkeys import MARK, PassKey
from engine.ssh.keys import HostKey, UnusableKey
from engine.ssh.signatures import PersonKey, signer_line


@dataclass(frozen=True)
class Anchored:
    """One server: how many signatures it takes (0: none), and the seals of successes from before: still ways back."""

    approvals: int
    earlier: tuple[str, ...] = ()


_STRANGER = Anchored(approvals=1)
"""A server has several host keys and addresses: who could choose others for it must not get round its anchor."""


def trusted_keys(person: str) -> list[str]:
    """A person's keys (type and base64) that count on this machine."""
    return [key for signer, key in _signers() if signer == person]


def trust(person: str, key: str) -> None:
    """Let signatures of this key count here."""
    _write_signers({*_signers(), (person, key)})


def distrust(key: str) -> bool:
    """The opposite; False when it did not count here."""
    before = _signers()
    _write_signers(left := {(signer, each) for signer, each in before if each != key})
    return len(left) < len(before)


def anchor(servers: Mapping[str, Anchored]) -> None:
    """Remember servers by host key; from then on every server that is not remembered takes a signed approval.

    Nothing is loosened: of a server that is known the higher number counts, and its seals of before stay as they were,
    since the database may have changed meanwhile.
    """
    known = _read_anchors()
    for host_key, now in servers.items():
        name = _fingerprint(host_key)
        before = known.get(name)
        held = Anchored(max(now.approvals, before.approvals), before.earlier) if before and before.approvals else now
        known[name] = held
    _write(_anchors(), json.dumps({name: asdict(held) for name, held in known.items()}, indent=1))


def anchored(host_keys: Iterable[str]) -> list[Anchored]:
    """What this machine holds servers with these host keys to; empty where it was never told of any server."""
    known = _read_anchors()
    return [known.get(_fingerprint(key), _STRANGER) for key in host_keys] if known else []


def in_use() -> bool:
    """Whether this machine was told of any server."""
    return bool(_read_anchors())


def _fingerprint(host_key: str) -> str:
    """However the key is written: the same bytes are the same server."""
    try:
        return HostKey.parse(host_key).fingerprint
    except UnusableKey:
        return ""


def _signers() -> set[tuple[str, str]]:
    found = set()
    for line in [*_lines(_allowed()), *_lines(_passkeys())]:
        signer, _, rest = line.partition(" ")
        options, _, key = rest.partition(" ")
        try:
            if options == MARK:
                found.add((signer, str(PassKey(key))))
            elif options == f'namespaces="{NAMESPACE}"':
                found.add((signer, str(PersonKey.parse(key))))
        except UnusableKey:
            continue  # somebody wrote into it by hand: what cannot be read counts for nothing
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _write_signers(signers: set[tuple[str, str]]) -> None:
    passkeys = {(who, key) for who, key in signers if key.startswith(f"{MARK} ")}
    lines = [signer_line(who, key, namespace=NAMESPACE) for who, key in sorted(signers - passkeys)]
    _write(_allowed(), "".join(lines))
    _write(_passkeys(), "".join(f"{who} {key}\n" for who, key in sorted(passkeys)))


def _read_anchors() -> dict[str, Anchored]:
    path = _anchors()
    known = json.loads(path.read_text()) if path.exists() else {}
    return {name: Anchored(int(each["approvals"]), tuple(each["earlier"])) for name, each in known.items()}


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def _allowed() -> Path:
    return Path(settings.STATE_DIR) / "allowed_signers"


def _passkeys() -> Path:
    return Path(settings.STATE_DIR) / "allowed_passkeys"


def _anchors() -> Path:
    return Path(settings.STATE_DIR) / "anchored.json"
