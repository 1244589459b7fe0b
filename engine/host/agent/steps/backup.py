"""backup: a copy or a dump of every database, with its digest; of a copy, its rows."""

from __future__ import annotations

import os
import time
from typing import Optional

from ..databases import copy_database
from ..dumps import Dumper, dumps_of
from ..files import fsync_path, sha256_file, write_atomic
from ..limits import Record
from .work import Work


def backup(work: Work) -> Record:
    """Copy the databases of the roles, and have the others dumped; one that is not there yet is said to be none."""
    facts: Record = {"databases": {}}
    names = [name for role in work.plan["roles"] for name in role["databases"]]
    dumps = dumps_of(work.plan["roles"])
    if dumps and not work.before["current"]:  # what nothing has run for holds nothing of ours
        dumps = {}
    directory = os.path.join(
        work.tree.backups, "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), work.plan["deployment"])
    )
    if not names and not dumps:
        return facts
    os.mkdir(directory, 0o700)
    try:
        for name in dict.fromkeys(names):
            facts["databases"][name] = _back_up(work, name, directory)
        for file, dump in dumps.items():
            dumper = Dumper(work.tree, work.tools, lambda line: work.recorder.log("backup", line, "output"))
            facts["databases"][dump["name"]] = dumper.dump(dump, os.path.join(directory, file), work.step_ends)
    finally:
        if not os.listdir(directory):  # else it would count as a backup, and a real one be pruned for it
            os.rmdir(directory)
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
