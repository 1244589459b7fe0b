"""What a server's agent says: records on the way, and how a verb ended."""

from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
"""One line of the agent's journal: kind "run", "before", "step", "log", "verified", "reverting" or "result", with seq,
at, deployment and fence; "step" has step, state, seconds and facts, "log" has step, stream and text."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a verb ended on the server.

    `status`: succeeded, failed (nothing had to be undone), reverted, cancelled, interrupted (needs a person), running
    (somebody else's run goes on) or none (nothing to do). `reason` is a stable word, `sentence` for people, `seq` the
    number of the result in the journal (0: not journalled).
    """

    status: str
    reason: str
    sentence: str
    seq: int = 0
    deployment: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record) -> "Result":
        """From the agent's line."""
        return cls(
            status=str(record["status"]),
            reason=str(record["reason"]),
            sentence=str(record["sentence"]),
            seq=int(record.get("seq", 0)),
            deployment=str(record.get("deployment", "")),
            facts=record.get("facts", {}),
        )
