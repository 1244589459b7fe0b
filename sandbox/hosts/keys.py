"""SSH keys: made, read, and shown the way OpenSSH shows them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from .processes import run


def create(path: Path, comment: str) -> None:
    """An ed25519 pair at `path` and `path`.pub, without a passphrase, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def public_line(path: Path) -> str:
    """`ssh-ed25519 AAAA…` of the pair at `path`, without its comment."""
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def fingerprint(line: str) -> str:
    """`SHA256:…` of a public key line, as `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
