"""verify: what runs is the new release and healthy; how many rows each table has now."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Tuple

from ..databases import copy_database
from ..errors import StepFailed, as_failure
from ..files import delete
from ..health import Expectation
from ..limits import Record
from ..unit_overrides import overrides_of_all
from ..verification import Verifier
from .work import Work


def verify(work: Work) -> Record:
    """Have each role proven, and compare the tables with their rows before."""
    expectations = [
        Expectation(role, work.plan["version"], work.release, _must_connect(work, role)) for role in work.plan["roles"]
    ]
    verifier = Verifier(work.systemd, lambda line: work.recorder.log("verify", line, "journal"), lambda: None)
    facts = verifier.prove(expectations, work.restarted.old, work.restarted.since, work.step_ends)
    digests = {unit: digest for role in work.plan["roles"] for unit, digest in role["unit_files"].items()}
    found = overrides_of_all(work.units, verifier.shown, digests)
    if found.elsewhere:  # another file than the release's says what runs
        raise StepFailed("units_differ", " ".join(found.elsewhere))
    facts["standing"] = found.gone + found.additions
    facts["watched"] = "; ".join([facts["watched"], *(said.rstrip(".") for said in facts["standing"])])
    facts["databases"], facts["rows_lost"], uncounted = compare_rows(work)
    if uncounted:
        facts["watched"] += "; not the rows of %s, since the disk is full" % ", ".join(uncounted)
    work.recorder.log("verify", "Looked at: %s." % facts["watched"])
    return facts


def _must_connect(work: Work, role: Record) -> bool:
    if work.plan["require_connected"] != "auto":
        return bool(work.plan["require_connected"] == "yes")
    seen = work.before["health"].get(role["role"], {})
    return not (seen.get("answered") and seen.get("connected") is False)


def compare_rows(work: Work) -> Tuple[Record, List[Record], List[str]]:
    """Rows of every table before and after, and which tables have fewer: said, not judged (queues do shrink).

    Nor is it judged that a disk has filled up meanwhile, so that there is no room to count: the release is proven, and
    going back frees nothing. Which databases those are comes last.
    """
    counts: Record = {}
    lost, uncounted = [], []
    for name, before in work.rows_before.items():
        try:
            after = _rows_now(work, name)
        except (OSError, StepFailed) as error:
            if as_failure(error, "verify").reason != "disk_full":
                raise
            uncounted.append(name)
            continue
        counts[name] = {table: [before[table], after.get(table)] for table in before}
        for table, number in before.items():
            now = after.get(table, 0)
            if number is not None and now is not None and now < number:
                lost.append({"database": name, "table": table, "before": number, "after": after.get(table)})
                work.recorder.log(
                    "verify", "%s: %s has %s rows, and had %d" % (name, table, after.get(table, "no"), number)
                )
    return counts, lost, uncounted


def _rows_now(work: Work, name: str) -> Dict[str, Optional[int]]:
    """In a copy that goes at once: the application has it open, and may write it."""
    directory = os.path.join(work.tree.backups, ".rows-%s" % work.plan["deployment"])
    delete(directory)
    os.mkdir(directory, 0o700)
    try:
        return copy_database(work.tree.data, name, os.path.join(directory, "copy"))
    except FileNotFoundError:
        return {}
    finally:
        delete(directory)
