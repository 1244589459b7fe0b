"""Bringing a ref of a repository elsewhere into a bare one of ours, over HTTPS; nothing that it configures is run."""

import base64
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from engine.artifacts.errors import FetchFailed
from engine.artifacts.git_shield import environment
from engine.artifacts.source import LARGEST

DEADLINE = 300.0
"""Seconds for one fetch."""
LOOK = 0.2
"""Seconds between two looks at how large it has become."""
SAID = 1 << 20
"""Bytes that a host may have git print."""
_LOCAL = frozenset({"localhost", "127.0.0.1"})


def fetch(url: str, ref: str, into: Path, *, access_token: str = "") -> None:
    """Bring `ref` (refs/heads/…, refs/tags/…) and all tags to `into`, which is made where there is none.

    `access_token` reads a private repository; it is sent to the host of `url` alone, and no argument or file has it.
    Raises FetchFailed, also for a repository of more than LARGEST bytes, of which then nothing is kept.
    """
    try:
        into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (into / "HEAD").is_file():
            _run(["git", "init", "--quiet", "--bare", "--template=", "--", str(into)], environment(), url, into)
        wanted = [f"+{spec}:{spec}" for spec in dict.fromkeys((ref, "refs/tags/*"))]
        options = ("--quiet", "--prune", "--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head")
        argv = ["git", "--no-pager", "fetch", *options, "--", url, *wanted]
        _run(argv, _environment(url, access_token) | {"GIT_DIR": str(into)}, url, into)
    except OSError as error:
        raise FetchFailed(f"{url} cannot be fetched: {error.strerror}.", hint="Is git installed here?") from error


def _environment(url: str, access_token: str) -> dict[str, str]:
    settings = {
        "core.hooksPath": os.devnull,
        "fetch.fsckObjects": "true",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "30",
    }
    if access_token:
        # the user's name is nobody's: GitHub, GitLab and Gitea look at the token alone
        pair = base64.b64encode(f"oauth2:{access_token}".encode()).decode()
        settings[f"http.{url}.extraHeader"] = f"Authorization: Basic {pair}"
    given = {f"GIT_CONFIG_KEY_{place}": key for place, key in enumerate(settings)}
    given |= {f"GIT_CONFIG_VALUE_{place}": value for place, value in enumerate(settings.values())}
    return (
        environment()
        | given
        | {
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ALLOW_PROTOCOL": "https:http" if urlsplit(url).hostname in _LOCAL else "https",
        }
    )


def _run(argv: list[str], environ: dict[str, str], url: str, into: Path) -> None:
    """With what it starts: the program that speaks HTTP is git's child, and ends with it."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            _watch(process, said, url, into)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        stderr = said.read(SAID)
    if _bytes_in(into) > LARGEST:
        shutil.rmtree(into, ignore_errors=True)
        hint = "Keep data and builds out of its history, or build elsewhere and upload the release."
        raise FetchFailed(f"{url} has more than {LARGEST / (1 << 20):g} MB.", hint=hint, permanent=True)
    if process.returncode:
        lines = stderr.decode(errors="replace").strip().splitlines() or ["git gave no reason"]
        told = lines[-1].removeprefix("fatal: ").rstrip(".")[:300]
        hint = "Check its address, the ref, and whether it takes an access token."
        raise FetchFailed(f"git cannot fetch {url}: {told}.", hint=hint)


def _watch(process: "subprocess.Popen[bytes]", said: IO[bytes], url: str, into: Path) -> None:
    """Until it has ended, or has brought too much. Raises FetchFailed when it takes too long, or talks without end."""
    ends = time.monotonic() + DEADLINE
    while _runs(process) and _bytes_in(into) <= LARGEST:
        if os.fstat(said.fileno()).st_size > SAID:
            raise FetchFailed(f"{url} says more than {SAID >> 20} MB beside what it sends.", hint="Is it a git host?")
        if time.monotonic() > ends:
            message = f"{url} was not fetched within {DEADLINE:g} s."
            raise FetchFailed(message, hint="Check the network, and how large the repository is.")


def _runs(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_in(directory: Path) -> int:
    size = 0
    for below, _, names in os.walk(directory):
        for name in names:
            try:
                size += Path(below, name).lstat().st_size
            except FileNotFoundError:
                continue  # git has put it elsewhere meanwhile
    return size
