"""What a provisioning said, line by line."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one operation.

    `state` is "ok" (it was so already), "changed" (or would be, when only planned) or "failed"; `before` and `after`
    are short descriptions or digests; `facts` is filled by the operation that looks at the machine, `difference` (of a
    unit file, line by line) by the one that writes it.
    """

    operation: str
    name: str
    state: Literal["ok", "changed", "failed"]
    sentence: str
    before: str = ""
    after: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    difference: list[str] = field(default_factory=list)
