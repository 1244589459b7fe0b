"""stage: the release and its configuration on disk, whole, beside what runs."""

from __future__ import annotations

import os
from typing import List, Optional

from ..errors import StepFailed
from ..files import canonical, discard, exchange, fsync_path, names_in, read_bytes, readlink, swap_link, write_atomic
from ..limits import NEED_ROUNDS, Record, Row
from ..releases import Staging, release_problems
from ..request import config_files
from .work import Work


def stage(work: Work) -> Record:
    """Link what is here, take what is sent, and hash all of it; a release that is whole already stays."""
    facts = {"files": len(work.rows), "linked": 0, "received": 0, "received_bytes": 0, "reused": False}
    _stage_config(work)
    if os.path.isdir(work.directory) and not release_problems(work.directory, work.rows):
        facts["reused"] = True
        work.frames.skip(work.frames.frame(b"T"))
        if work.tree.manifest(work.release) != work.rows:
            write_atomic(work.tree.manifest_path(work.release), canonical(work.rows))
        if work.release != work.tree.current_release():
            _renew_ours(work)
        _sync(work)
        if work.release != work.tree.current_release():
            work.point_config()
    else:
        staging = _fill_staging(work)
        facts.update(linked=staging.linked, received=staging.received, received_bytes=staging.received_bytes)
    return facts


def _sync(work: Work) -> None:
    """All that was staged is on disk: one flush of the file system instead of one per file and directory.

    Measured on a busy machine with 6 new files in 25 directories: 15 ms against 115.
    """
    code, output = work.tools.call(["/usr/bin/sync", "-f", work.tree.releases], timeout=work.plan["deadline"])
    if code != 0:
        raise StepFailed("disk_full" if "space" in output else "disk_failed", "Nothing was activated: %s." % output)


def _fill_staging(work: Work) -> Staging:
    directory = os.path.join(work.tree.releases, ".staging-" + work.plan["deployment"])
    if os.path.lexists(directory):
        discard(directory)
    staging = Staging(work.tree, work.rows, directory)
    staging.make_directories()
    sources = [name for name in (work.tree.current_release(), work.release) if name]
    wanted = work.rows
    for name in dict.fromkeys(sources):
        wanted = staging.link_from(name, wanted)
    staging.receive(work.frames)
    wrong = _complete(work, staging, staging.wrong(work.rows))
    for _ in range(NEED_ROUNDS):
        if not wrong:
            break
        work.recorder.emit({"kind": "need", "files": sorted({row[2] for row in wrong})})
        staging.receive(work.frames)
        wrong = _complete(work, staging, staging.wrong(wrong))
    if wrong:
        raise StepFailed(
            "files_wrong",
            "%d files are not as the manifest says, %s first; build the release again." % (len(wrong), wrong[0][0]),
        )
    _add_ours(work, staging)
    write_atomic(work.tree.manifest_path(work.release), canonical(work.rows), sync=False)
    _sync(work)
    if os.path.isdir(work.directory):
        exchange(directory, work.directory)
        fsync_path(work.tree.releases)
        discard(directory)
    else:
        os.rename(directory, work.directory)
        fsync_path(work.tree.releases)
    return staging


def _complete(work: Work, staging: Staging, wanted: List[Row]) -> List[Row]:
    """What other releases on this server, or other paths of this one, can still provide."""
    if not wanted:
        return []
    for name in work.tree.release_names():
        if wanted and name not in (work.release, work.tree.current_release()):
            left = staging.link_from(name, wanted)
            taken = [row for row in wanted if row not in left]
            wanted = left + staging.wrong(taken)
    return staging.copy_within(wanted) if wanted else []


def _add_ours(work: Work, staging: Staging) -> None:
    """The three names in a release that are not in its manifest."""
    content = "RELEASE_ID=%s\nRELEASE_VERSION=%s\n" % (work.release, work.plan["version"])
    write_atomic(staging.path(".release"), content.encode(), 0o444, sync=False)
    os.mkdir(staging.path(".envs"), 0o755)
    for role in work.plan["roles"]:
        if role["env_digest"]:
            os.symlink("../../../envs/" + role["env_digest"], staging.path(".envs/" + role["role"]))
    config: Optional[str] = work.config_target
    if work.release == work.tree.current_release():
        config = work.tree.config_link(work.release)  # the live one is being repaired, not yet activated
    if config:
        os.symlink(config, staging.path(".config"))


def _renew_ours(work: Work) -> None:
    """The environments of a release that was here before and is not live: this plan's."""
    for role in work.plan["roles"]:
        link, target = os.path.join(work.directory, ".envs", role["role"]), "../../../envs/%s" % role["env_digest"]
        if role["env_digest"] and readlink(link) != target:
            os.makedirs(os.path.dirname(link), exist_ok=True)
            swap_link(link, target)


def _stage_config(work: Work) -> None:
    files = config_files(work.plan)
    there = names_in(work.config_directory)
    if os.path.isdir(work.config_directory):
        paths = {name: os.path.join(work.config_directory, name) for name in there}
        if sorted(files) == there and all(read_bytes(paths[name]) == files[name] for name in there):
            return
        discard(work.config_directory)
    staging = os.path.join(work.tree.config, ".staging-" + work.plan["deployment"])
    if os.path.lexists(staging):
        discard(staging)
    os.mkdir(staging)
    group = os.stat(work.tree.config).st_gid  # the bot's: it may read what is below, and not write
    for name, content in files.items():
        write_atomic(os.path.join(staging, name), content, 0o440, sync=False)
        os.chown(os.path.join(staging, name), -1, group)
    os.chown(staging, -1, group)
    os.chmod(staging, 0o750)  # noqa: S103 - the group is the bot's: it reads, and cannot write
    os.rename(staging, work.config_directory)
