"""Small projects on disk, in git, and wheels made by hand."""

import base64
import hashlib
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

DEPLOY_TOML = """\
name = "tea-bot"
python = "3.11"
include = ["tea"]

[roles.bot]
units = ["tea.service"]
lock = "requirements.txt"

[roles.bot.health]
url = "http://127.0.0.1:{port}/health"

[environments.test.roles.bot]
port = 8001
[environments.test.config]
"tea.json" = "config/test.json"
"""

UNIT = "[Service]\nUser=tea-bot\nWorkingDirectory=/opt/tea-bot/current\nExecStart=/usr/bin/python3 -m tea\n"

FILES: dict[str, str] = {
    "deploy.toml": DEPLOY_TOML,
    "VERSION": "1.2.3\n",
    "requirements.txt": "# nothing\n",
    "tea.service": UNIT,
    "config/test.json": '{"leaves": 3}\n',
    "tea/__init__.py": "",
    "tea/__main__.py": "print('tea')\n",
    "README.md": "not part of a release\n",
}


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files below `root`, with their directories."""
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def project(root: Path, changed: Mapping[str, str | bytes | None] | None = None) -> Path:
    """A project that can become a release, with some files changed, added or (None) left out."""
    files: dict[str, str | bytes | None] = {**FILES, **(changed or {})}
    return write(root, {path: content for path, content in files.items() if content is not None})


def git(root: Path, *argv: str) -> str:
    """git in `root`, independent of the machine's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "LC_ALL": "C",
    }
    done = subprocess.run(["git", *argv], cwd=root, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit_all(root: Path, message: str = "work") -> str:
    """Everything in `root` committed; the commit's id."""
    if not (root / ".git").exists():
        git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)
    return git(root, "rev-parse", "HEAD")


def wheel(directory: Path, name: str, version: str = "1.0", tag: str = "py3-none-any") -> Path:
    """A wheel that pip can install, the same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for path, content in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in contents.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


def lock_line(*wheels: Path) -> str:
    """A line of a lock that any of these wheels satisfies."""
    name, version = wheels[0].name.split("-")[:2]
    hashes = " ".join(f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in wheels)
    return f"{name}=={version} {hashes}\n"
