"""Running git on a repository without letting what that repository configures run.

A repository's own configuration names programs (filters, fsmonitor, gpg, ssh, credential helpers), includes other
files, and has git fetch what is missing; a list of settings to switch off would never be whole. So git gets another
directory as the repository's: links to its objects, refs and index, no hooks, and a configuration of ours.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TIMEOUT = 120.0
"""Seconds for one git command; listing a repository of 100,000 files takes about one."""
_LEFT_OUT = frozenset({"config", "config.worktree", "hooks", "worktrees", "modules", "HEAD", "commondir", "gitdir"})
_FORMATS = {"objectformat": ("sha1", "sha256"), "refstorage": ("files", "reftable")}


def environment() -> dict[str, str]:
    """Ours without any variable that leads git elsewhere, and without the configuration of system and account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ATTR_NOSYSTEM": "1",
    }


@contextmanager
def shielded(directory: Path) -> Iterator[Mapping[str, str] | None]:
    """The environment in which git sees the repository of `directory` without its configuration; None without one."""
    place = _asked(directory, "rev-parse", "--absolute-git-dir", "--git-common-dir", "--is-bare-repository")
    if place is None:
        yield None
        return
    own, common, bare = place.splitlines()[:3]
    top = None if bare == "true" else _asked(directory, "rev-parse", "--show-toplevel")
    with tempfile.TemporaryDirectory(prefix="git-") as name:
        scratch = Path(name)
        _link(scratch, (directory / common).resolve(), Path(own))
        (scratch / "config").write_text(_configuration((directory / common).resolve() / "config", bare == "true"))
        shield = environment() | {"GIT_DIR": name, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        yield shield if top is None else shield | {"GIT_WORK_TREE": top.rstrip("\n")}


def _link(scratch: Path, common: Path, own: Path) -> None:
    for parent in dict.fromkeys((own, common)):
        for entry in parent.iterdir():
            if entry.name not in _LEFT_OUT and not entry.name.endswith(".lock") and not (scratch / entry.name).exists():
                (scratch / entry.name).symlink_to(entry)
    (scratch / "HEAD").write_bytes((own / "HEAD").read_bytes())  # as a link it would be taken for a reference


def _configuration(path: Path, bare: bool) -> str:
    """What git has to know to read the files: their format, and nothing that names a program or a path."""
    lines = ["[core]", f"bare = {str(bare).lower()}", "fsmonitor = false", "hooksPath = /dev/null"]
    lines += ["repositoryformatversion = 1", "[extensions]"]
    for key, known in _FORMATS.items():
        found = _asked(path.parent, "config", "--file", str(path), "--no-includes", "--get", f"extensions.{key}")
        if found and found.strip() in known:
            lines.append(f"{key} = {found.strip()}")
    return "\n".join([*lines, ""])


def _asked(directory: Path, *argv: str) -> str | None:
    """What a command of git's says that runs nothing; None when it says no."""
    answer = subprocess.run(
        ["git", *argv], cwd=directory, env=environment(), capture_output=True, timeout=TIMEOUT, check=False
    )
    return os.fsdecode(answer.stdout) if answer.returncode == 0 else None
