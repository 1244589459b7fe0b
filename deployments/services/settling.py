"""Asking a server what is true about a deployment, after the line was cut or the worker died."""

import logging
import time
from collections.abc import Callable

from deployments.lifecycle import TargetStatus
from deployments.models import Deployment, Target
from deployments.remote.client import AgentClient, Record
from deployments.services.connections import agent, open_target
from deployments.services.endings import end_target
from deployments.ssh.errors import SSHError

logger = logging.getLogger(__name__)

OnRecord = Callable[[Target, Record], None]

STATUSES = {
    "succeeded": TargetStatus.SUCCEEDED,
    "failed": TargetStatus.FAILED,
    "reverted": TargetStatus.REVERTED,
    "cancelled": TargetStatus.CANCELLED,
    "interrupted": TargetStatus.INTERRUPTED,
}
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 2.0


def settle_target(deployment: Deployment, target: Target, on_record: OnRecord, *, patience: float) -> bool:
    """Learn from the host's journal how `target` ended, having its agent recover what it left unfinished.

    Tries for `patience` seconds. False when the server did not answer, or still works on it: nothing is written then.
    """
    end = time.monotonic() + patience
    sealed = target_snapshot(deployment, target)
    while True:
        try:
            with open_target(deployment.environment, sealed) as session:
                if _settled(agent(session, deployment.snapshot["application"]), deployment, target, on_record):
                    return True
            pause = _POLL_SECONDS
        except SSHError as error:
            logger.info("deployment %s: %s", deployment.pk, error)
            if error.permanent:
                return False
            pause = _RETRY_SECONDS
        if time.monotonic() + pause > end:
            return False
        time.sleep(pause)


def target_snapshot(deployment: Deployment, target: Target) -> dict[str, object]:
    """The sealed description of one target."""
    found: dict[str, object] = next(
        item for item in deployment.snapshot["targets"] if item["server"] == target.server.name
    )
    return found


def _settled(client: AgentClient, deployment: Deployment, target: Target, on_record: OnRecord) -> bool:
    number = str(deployment.pk)
    lock = client.inspect()["lock"]
    if lock["held"] and str((lock["owner"] or {}).get("deployment", "")) == number:
        _fetch(client, number, target, on_record)
        return False
    records = _fetch(client, number, target, on_record)
    if not records:
        end_target(
            target,
            TargetStatus.FAILED,
            outcome="not_started",
            sentence=f"Nothing was begun on {target.server.name}: it runs what it ran before.",
        )
        return True
    if not _result(records):
        client.recover(lambda record: None)
        records = _fetch(client, number, target, on_record)
    result = _result(records)
    if result is None:
        end_target(
            target,
            TargetStatus.INTERRUPTED,
            outcome="no_result",
            sentence=f"{target.server.name} began deployment {number} and its journal does not tell how it ended.",
        )
        return True
    apply_result(target, result)
    return True


def apply_result(target: Target, result: Record) -> None:
    """Store an agent's result as what became of the target."""
    end_target(
        target,
        STATUSES.get(str(result.get("status")), TargetStatus.INTERRUPTED),
        outcome=str(result.get("reason", "")),
        sentence=str(result.get("sentence", "")),
        facts=result.get("facts", {}),
    )


def _fetch(client: AgentClient, number: str, target: Target, on_record: OnRecord) -> list[Record]:
    """The whole journal of this deployment; lines not seen before go to `on_record`."""
    records = client.journal(number)
    target.refresh_from_db(fields=["journal_seq"])
    for record in records:
        if int(record.get("seq", 0)) > target.journal_seq:
            on_record(target, record)
    return records


def _result(records: list[Record]) -> Record | None:
    return next((record for record in reversed(records) if record.get("kind") == "result"), None)
