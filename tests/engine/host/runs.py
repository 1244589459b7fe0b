"""Runs of the agent in this process: a plan, what is live, and what the run said."""

import json
import os
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

from engine.artifacts import tarstream
from engine.host.agent.limits import Record
from engine.host.agent.tree import Tree
from engine.host.agent.verbs import VERBS, verb_run
from engine.host.agent.wire import Frames, Stream
from engine.remote.plan import config_digest

UNIT = "bot.service"
OLD, NEW = "1.0-a", "2.0-b"


def role(**changes: Any) -> Record:
    """A role with one unit, and nothing else to look at."""
    usual: Record = {
        "role": "bot",
        "units": [UNIT],
        "unit_files": {},
        "lock": None,
        "env_digest": None,
        "check": [],
        "health": None,
        "secrets": {},
        "databases": [],
    }
    return {**usual, **changes}


def plan(tree: Tree, **changes: Any) -> Record:
    """A plan for an empty release, as it comes over the wire."""
    usual: Record = {
        "protocol": 1,
        "root": tree.root,
        "deployment": "7",
        "fence": 3,
        "release": NEW,
        "version": "2.0",
        "manifest": [],
        "roles": [role()],
        "config": {"digest": config_digest({"bot.json": b"{}"}), "files": {"bot.json": "e30="}},
        "pins": [],
        "keep": 3,
        "python": "3.9",
        "clock": time.time(),
        "expects": None,
        "base": None,
        "need_bytes": 0,
        "deadline": 30.0,
        "deadlines": {"revert": 5.0},
        "require_connected": "auto",
        "takeover": False,
    }
    return {**usual, **changes}


def put_live(tree: Tree, name: str = OLD) -> None:
    """Have a release be live, with a configuration of its own."""
    config = Path(tree.config, "before")
    config.mkdir(exist_ok=True)
    release = Path(tree.release(name))
    release.mkdir()
    (release / ".config").symlink_to("../../shared/config/before")
    (release / ".release").write_text(f"RELEASE_ID={name}\nRELEASE_VERSION=1.0\n")
    Path(tree.manifest_path(name)).write_text("[]")
    Path(tree.current).symlink_to(f"releases/{name}")


def rehearse(tree: Tree, moment: str, script: str) -> None:
    """Have the run do this before a step, or after its work (`<step>-end`)."""
    program = Path(tree.rehearsal, moment)
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def frames(*contents: tuple[bytes, bytes]) -> Frames:
    """Frames of these kinds and contents, as they would arrive."""
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            for kind, content in contents:
                pipe.write(struct.pack(">cQ", kind, len(content)) + content)

    threading.Thread(target=feed, daemon=True).start()
    return Frames(read_end)


def request(fields: Record) -> tuple[bytes, bytes]:
    """The frame of a request."""
    return b"P", zlib.compress(json.dumps(fields).encode())


def stream(tree: Tree) -> Stream:
    """A portal that listens; `said` tells what it heard."""
    return Stream(os.open(Path(tree.root, "said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))


def said(tree: Tree) -> list[Record]:
    """The records that the portal heard."""
    return [json.loads(line) for line in Path(tree.root, "said").read_text().splitlines()]


def run(tree: Tree, wanted: Record, files: bytes = tarstream.END) -> Record:
    """Supervisor and worker, as `agent run` starts them, with a tar of what travels; the result."""
    line = stream(tree)
    try:
        return verb_run(tree, frames(request(wanted), (b"T", files)), line)
    finally:
        os.close(line.fd)


def ask(tree: Tree, verb: str, *more: tuple[bytes, bytes], **fields: Any) -> Record:
    """What a verb answers to a request of these fields, and frames behind it."""
    line = stream(tree)
    try:
        return VERBS[verb](tree, frames(request({"protocol": 1, **fields}), *more), line)
    finally:
        os.close(line.fd)
