"""backup: a copy of every database, with its digest and rows."""

from __future__ import annotations

import os
import time
from typing import Optional

from ..databases import copy_database
from ..files import fsync_path, sha256_file, write_atomic
from ..limits import Record
from .work import Work


def backup(work: Work) -> Record:
    """Copy what the roles call their databases; one that is not there yet is said to be none."""
    facts: Record = {"databases": {}}
    names = [name for role in work.plan["roles"] for name in role["databases"]]
    directory = os.path.join(
        work.tree.backups, "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), work.plan["deployment"])
    )
    if names:
        os.mkdir(directory, 0o700)
    try:
        for name in dict.fromkeys(names):
            facts["databases"][name] = _back_up(work, name, directory)
    finally:
        if names and not os.listdir(directory):  # else it would count as a backup, and a real one be pruned for it
            os.rmdir(directory)
    if facts["databases"]:
        fsync_path(work.tree.backups)
    return facts


def _back_up(work: Work, name: str, directory: str) -> Optional[Record]:
    copy = os.path.join(directory, name.replace("/", "_"))
    try:
        work.rows_before[name] = copy_database(work.tree.data, name, copy)
    except FileNotFoundError:
        return None
    digest = sha256_file(copy)
    write_atomic(copy + ".sha256", ("%s  %s\n" % (digest, os.path.basename(copy))).encode(), 0o400)
    return {"copy": copy, "sha256": digest, "rows": work.rows_before[name]}
