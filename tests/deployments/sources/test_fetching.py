"""`build_release --source URL`: a repository elsewhere is fetched, built and not kept."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings

from deployments.models import Release
from engine.artifacts import fetching
from engine.artifacts import git as git_trees
from engine.artifacts.errors import FetchFailed
from tests.deployments.sources.git_host import GitHost, git_host
from tests.deployments.world import World
from tests.engine.artifacts.projects import git

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path / "host") as running:
        yield running


@pytest.mark.parametrize("ref", ["main", "v2.0.0", "the commit"])
def test_a_branch_a_tag_or_a_commit_is_built(world: World, host: GitHost, ref: str) -> None:
    commit = host.push("Louder dice", version="2.0.0")
    git(host.work, "tag", "v2.0.0")
    host.publish("refs/tags/v2.0.0", "v2.0.0")
    wanted = commit if ref == "the commit" else ref
    code, said = world.command("colleague", "build_release", "--source", host.repository(), "--ref", wanted)
    assert code == 0, said
    made = Release.objects.get(identifier=json.loads(said)["release"])
    assert (made.version, made.commit, made.tag) == ("2.0.0", commit, "v2.0.0")
    assert list(Path(settings.STATE_DIR).glob("fetched-*")) == []


@pytest.mark.parametrize(
    ("source", "ref", "error"),
    [
        ("URL", None, "no_ref"),
        ("URL", "nowhere", "unknown_ref"),
        ("URL", "--upload-pack=x", "unknown_ref"),
        ("file:///etc", "main", "fetch_failed"),
        ("http://198.51.100.7/a/b.git", "main", "fetch_failed"),
        ("ext://sh", "main", "fetch_failed"),
        ("/nowhere", "main", "unknown_source"),
    ],
)
def test_what_cannot_be_fetched_is_said(world: World, host: GitHost, source: str, ref: str | None, error: str) -> None:
    address = host.repository() if source == "URL" else source
    code, said = world.command("colleague", "build_release", "--source", address, *([f"--ref={ref}"] if ref else []))
    assert code in (1, 2)
    assert json.loads(said)["error"] == error


@pytest.fixture
def heavy(host: GitHost) -> str:
    """The address of a repository with 8 MB in it, of which half arrives."""
    (host.work / "dicebot" / "data.bin").write_bytes(os.urandom(8_000_000))
    host.push("Data")
    return host.repository("acme/stuck")


def test_a_repository_larger_than_a_release_may_be_is_not_fetched_to_its_end_and_not_kept(
    world: World, host: GitHost, heavy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetching, "LARGEST", 1 << 20)
    monkeypatch.setattr(fetching, "DEADLINE", 25.0)  # git itself would give up after 30
    into = tmp_path / "mirror.git"
    with pytest.raises(FetchFailed, match=r"has more than 1 MB\.") as caught:
        fetching.fetch(heavy, "refs/heads/main", into)
    assert caught.value.permanent
    assert not into.exists()
    code, said = world.command("colleague", "build_release", "--source", host.repository(), "--ref", "main")
    assert (code, json.loads(said)["error"]) == (1, "fetch_failed")
    assert list(Path(settings.STATE_DIR).glob("fetched-*")) == []


def test_a_repository_that_does_not_arrive_in_time_is_given_up(
    heavy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetching, "DEADLINE", 0.5)
    with pytest.raises(FetchFailed, match=r"was not fetched within 0\.5 s\."):
        fetching.fetch(heavy, "refs/heads/main", tmp_path / "mirror.git")


def test_a_file_that_is_small_only_as_git_keeps_it_is_not_read(
    world: World, host: GitHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.work / "dicebot" / "data.bin").write_bytes(bytes(3_000_000))
    host.push("Zeros")
    monkeypatch.setattr(fetching, "LARGEST", 1 << 20)
    monkeypatch.setattr(git_trees, "LARGEST", 1 << 20)
    code, said = world.command("colleague", "build_release", "--source", host.repository(), "--ref", "main")
    assert (code, json.loads(said)["error"]) == (1, "release_too_large"), said
    assert "With dicebot/data.bin the release has more than 1 MB." in said


class _Talker(BaseHTTPRequestHandler):
    """A git host that has much to say, and nothing to send."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.end_headers()
        refs = b"a" * 40 + b" refs/heads/main\0side-band-64k ofs-delta agent=x\n"
        self.wfile.write(_line(b"# service=git-upload-pack\n") + b"0000" + _line(refs) + b"0000")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-result")
        self.end_headers()
        self.wfile.write(_line(b"NAK\n"))
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(_line(b"\x02" + b"x" * 60_000 + b"\n"))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _line(content: bytes) -> bytes:
    return f"{len(content) + 4:04x}".encode() + content


def test_a_host_that_only_talks_is_ended(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Talker) as server:
        answering = threading.Thread(target=server.serve_forever, args=(0.01,))
        answering.start()
        try:
            with pytest.raises(FetchFailed, match="says more than 1 MB beside what it sends"):
                fetching.fetch(f"http://127.0.0.1:{server.server_port}/x.git", "refs/heads/main", tmp_path / "mirror")
        finally:
            server.shutdown()
            answering.join()
