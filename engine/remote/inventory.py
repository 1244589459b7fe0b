"""What of that which provisioning put on a server is not so any more, as root itself sees it."""

from dataclasses import dataclass

from engine.commands.inventory import check_command
from engine.remote.reports import Report
from engine.ssh.session import Session

DEADLINE = 60.0
"""Seconds; two on a server at rest."""


@dataclass(frozen=True)
class InventoryCheck:
    """How many things root looked at, and the reports on those that differ; `why` nothing was looked at, or ""."""

    things: int
    differing: list[Report]
    why: str = ""


def check_inventory(session: Session, name: str) -> InventoryCheck:
    """Have root look by the one command that provisioning allowed; changes nothing. Raises SSHError."""
    reports, things = [], -1
    with session.converse(check_command(name), what="looking at what provisioning put there") as conversation:
        conversation.end_input()
        for record in conversation.records(deadline=DEADLINE, silence=DEADLINE):
            if record is None:
                continue
            kind = record.pop("kind")
            if kind == "report":
                reports.append(Report(**record))
            elif kind == "looked":
                things = int(record["things"])
        conversation.exit_code()
        said = (conversation.stderr + conversation.beside).decode(errors="replace").strip()[-300:]
    if things < 0:
        return InventoryCheck(0, [], said or "no answer")
    return InventoryCheck(things, reports)
