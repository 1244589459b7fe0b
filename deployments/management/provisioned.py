"""What a provisioning changed, in few lines: a long run of one kind is its first and a number."""

from collections.abc import Callable, Sequence

from engine.remote.reports import Report

FEW = 3
"""Changes of one kind in a row that are told one by one."""
KINDS = {
    "authorized_key": "keys",
    "directory": "directories",
    "file": "files",
    "link": "links",
    "member": "groups",
    "package": "packages",
    "unit": "units",
    "user": "accounts",
}
"""What an operation is about; others come alone."""


class Brief:
    """Told of everything as it is done; says what changed, and nothing twice."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._alike: list[Report] = []

    def __call__(self, report: Report) -> None:
        """One thing more."""
        if report.state == "ok":
            return
        if self._alike and self._alike[0].operation != report.operation:
            self.close()
        self._alike.append(report)

    def close(self) -> None:
        """Nothing more of this kind comes."""
        for line in brief(self._alike):
            self._say(f"  {line}")
        self._alike = []


def brief(alike: Sequence[Report]) -> list[str]:
    """Sentences of a run of one kind: each of a few, else the first and how many more."""
    if len(alike) <= FEW:
        return [report.sentence for report in alike]
    return [alike[0].sentence, f"  and {len(alike) - 1} more {KINDS.get(alike[0].operation, 'changes')}"]
