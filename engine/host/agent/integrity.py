"""Whether what a deployment put here beside the release is still that: environments and secrets."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from typing import Dict, Iterator, List, Optional, Tuple

from .files import canonical, read_bytes, read_json, readlink, sha256_file, write_atomic
from .limits import Record
from .tree import Tree

FILES = ".files"
"""In an environment: what lay in it when it was made."""
_OWN = (FILES, ".complete")


def note_environment(environment: str) -> None:
    """Write down what an environment consists of, once it is made and before it counts as complete."""
    write_atomic(os.path.join(environment, FILES), canonical(dict(_contents(environment))), 0o444, sync=False)


def environment_problems(tree: Tree, digest: str) -> Optional[List[Tuple[str, str]]]:
    """How an environment differs from what was noted: path and why; None where nothing was noted.

    Bytecode that was added is none: Python writes it beside what it runs.
    """
    environment = os.path.join(tree.envs, digest)
    noted = read_json(os.path.join(environment, FILES), None)
    if noted is None:
        return None if os.path.isdir(environment) else [("", "missing")]
    there: Dict[str, str] = dict(_contents(environment))
    problems = [(path, "missing") for path in noted if path not in there]
    problems += [(path, "content") for path in noted if path in there and there[path] != noted[path]]
    problems += [(path, "extra") for path in there if path not in noted and "__pycache__" not in path.split("/")]
    return sorted(problems)


def _contents(directory: str, below: str = "") -> Iterator[Tuple[str, str]]:
    for entry in os.scandir(os.path.join(directory, below)):
        path = below + "/" + entry.name if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _contents(directory, path)
        elif entry.is_symlink():
            yield path, "-> %s" % readlink(entry.path)
        elif path not in _OWN:
            yield path, sha256_file(entry.path) if entry.is_file(follow_symlinks=False) else "no file"


def secret_proofs(tree: Tree, nonce: str) -> Dict[str, Record]:
    """For each secret that was delivered: what proves its value to whoever knows it, and its mode.

    An HMAC of the value under the asker's own nonce tells nothing to anybody who does not know the value.
    """
    proofs: Dict[str, Record] = {}
    for name in read_json(tree.secret_versions, {}):
        path = os.path.join(tree.secrets, name)
        try:
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            proof = hmac.new(nonce.encode(), read_bytes(path), hashlib.sha256).hexdigest()
        except OSError:
            continue
        proofs[name] = {"proof": proof, "mode": "%04o" % mode}
    return proofs
