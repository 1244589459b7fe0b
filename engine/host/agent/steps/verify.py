"""verify: what runs is the new release and healthy; how many rows each table has now."""

from __future__ import annotations

import os
from typing import Dict, List, Optional, Tuple

from ..boot import standings
from ..databases import copy_database
from ..errors import StepFailed
from ..files import delete
from ..health import Expectation
from ..limits import Record
from ..verification import Verifier
from .work import Work


def verify(work: Work) -> Record:
    """Have each role proven, and compare the tables with their rows before."""
    expectations = [
        Expectation(role, work.plan["version"], work.release, _must_connect(work, role)) for role in work.plan["roles"]
    ]
    verifier = Verifier(work.systemd, lambda line: work.recorder.log("verify", line, "journal"), lambda: None)
    facts = verifier.prove(expectations, work.old_units, work.activated_at, work.step_ends)
    found = standings(work.units, verifier.shown, {})
    if found.elsewhere:  # another file than the release's says what runs
        raise StepFailed("units_differ", " ".join(found.elsewhere))
    facts["standing"] = found.gone + found.additions
    facts["watched"] = "; ".join([facts["watched"], *(said.rstrip(".") for said in facts["standing"])])
    work.recorder.log("verify", "Looked at: %s." % facts["watched"])
    facts["databases"], facts["rows_lost"] = compare_rows(work)
    return facts


def _must_connect(work: Work, role: Record) -> bool:
    if work.plan["require_connected"] != "auto":
        return bool(work.plan["require_connected"] == "yes")
    seen = work.before["health"].get(role["role"], {})
    return not (seen.get("answered") and seen.get("connected") is False)


def compare_rows(work: Work) -> Tuple[Record, List[Record]]:
    """Rows of every table before and after, and which tables have fewer: said, not judged (queues do shrink)."""
    counts: Record = {}
    lost = []
    for name, before in work.rows_before.items():
        after = _rows_now(work, name)
        counts[name] = {table: [before[table], after.get(table)] for table in before}
        for table, number in before.items():
            now = after.get(table, 0)
            if number is not None and now is not None and now < number:
                lost.append({"database": name, "table": table, "before": number, "after": after.get(table)})
                work.recorder.log(
                    "verify", "%s: %s has %s rows, and had %d" % (name, table, after.get(table, "no"), number)
                )
    return counts, lost


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
