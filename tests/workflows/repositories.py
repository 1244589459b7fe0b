"""A repository like ours whose application is the example bot: what a team that deploys its own bot has."""

import shutil
import subprocess
from pathlib import Path

from tests.fixtures.records import EXAMPLE

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ("manage.py", "portal", "dashboard", "alerting", "deployments", "engine", "requirements/base.txt", ".github")


class Repository:
    """A git repository in `path`."""

    def __init__(self, path: Path, origin: Path | None = None) -> None:
        self.path = path
        if origin is not None:
            shutil.copytree(origin, path)
            return
        for name in _files():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        shutil.copytree(EXAMPLE, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (path / ".gitignore").write_text("__pycache__/\n.state/\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "alice")
        self.git("config", "user.email", "alice@example.org")
        self.commit("1.0.0")

    def clone(self, path: Path) -> "Repository":
        """A copy with a history of its own from here on."""
        return Repository(path, self.path)

    def git(self, *argv: str) -> str:
        """Run git."""
        return subprocess.run(
            ["git", *argv], cwd=self.path, check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    def commit(self, version: str, edits: dict[str, tuple[str, str]] | None = None, message: str = "") -> None:
        """Commit a version; `edits` replace a text in a file."""
        (self.path / "VERSION").write_text(f"{version}\n")
        for name, (old, new) in (edits or {}).items():
            content = (self.path / name).read_text()
            assert old in content
            (self.path / name).write_text(content.replace(old, new))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message or f"Version {version}")

    def tag(self, name: str) -> None:
        """Tag the last commit."""
        self.git("tag", name)


def _files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *TAKEN],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    return [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
