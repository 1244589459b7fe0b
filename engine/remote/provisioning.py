"""Make a server ready: send the operations and the interpreter that carries them out, read what it did."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.commands.agent import provision_command, source
from engine.remote.errors import ProvisionFailed
from engine.remote.plan import PROTOCOL
from engine.remote.reports import Report
from engine.remote.sudo import as_root
from engine.ssh.conversation import Conversation
from engine.ssh.errors import LinkLost
from engine.ssh.session import Session

DEADLINE = 1800.0
"""Seconds for all operations; packages may have to be fetched first."""
SILENCE = 960.0
"""Seconds without a report: apt alone may take 900."""


_AGAIN = "What came before it stays done; provision again once this is put right."
_NOTHING = "Nothing was changed; provision again once this is put right."


def ignore(report: Report) -> None:
    """For callers that only want the list."""


def provision(
    session: Session,
    operations: Sequence[dict[str, Any]],
    *,
    plan: bool = False,
    sudo: bool = True,
    on_report: Callable[[Report], None] = ignore,
) -> list[Report]:
    """Apply `operations` (see commands.provisioning) in order, or with `plan` only say what would change.

    `sudo`: the account is not root. `on_report` gets each report as it arrives. Raises ProvisionFailed when an
    operation fails, LinkLost when the line is cut; running it again goes on from where it was.
    """
    request = json.dumps({"protocol": PROTOCOL, "plan": plan, "operations": list(operations)}).encode()
    interpreter, reports = source("provision"), list[Report]()
    command, first = as_root(session, provision_command(), sudo=sudo)
    with session.converse(command, what="provisioning") as conversation:
        conversation.send((*first, b"%d\n" % len(interpreter), interpreter, request))
        conversation.end_input()
        for report in _reports(conversation):
            reports.append(report)
            on_report(report)
            if report.state == "failed":
                raise ProvisionFailed(
                    f"{session.address.host}: {report.name} failed: {report.sentence}",
                    reports=reports,
                    hint=_AGAIN if not plan and len(reports) > 1 else _NOTHING,
                )
        exit_code = conversation.exit_code()
        said = (conversation.stderr + conversation.beside).decode(errors="replace").strip()[-500:]
    if exit_code == 0 and len(reports) == len(operations):
        return reports
    if exit_code < 0:
        raise LinkLost(f"Provisioning on {session.address.host} was killed after {len(reports)} operations.")
    raise ProvisionFailed(
        f"Provisioning {session.address.host} as {session.address.user} failed"
        + (f": {said}." if said else f" with exit code {exit_code}."),
        reports=reports,
        hint="The bootstrap account (--bootstrap-user) must be root, or may become root by sudo, and needs Python 3.9.",
    )


def _reports(conversation: Conversation) -> Iterable[Report]:
    for content in conversation.records(deadline=DEADLINE, silence=SILENCE):
        if content is not None and content.pop("kind") == "report":
            try:
                yield Report(**content)
            except TypeError:
                continue  # nothing that our program says
