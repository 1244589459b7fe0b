"""What became of each mutant, as one line of JSON each.

Kept between runs while its file stays as it is; that it survived, while the tests that reach it do too.
"""

import ast
import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutation.operators import ROOT, Mutant

if TYPE_CHECKING:
    from tests.mutation.drawing import Drawn

FLOOR = 0.9
"""Of the mutants that make a difference, the share that tests must notice."""


class Verdicts:
    """What is known of mutants."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        self._known: dict[str, dict[str, str]] = {each["mutant"]: each for each in map(json.loads, lines)}
        self.control = self._known.pop("control", {"said": "survived"})["said"]
        """What the tests said with nothing changed, the last time."""

    def of(self, mutant: Mutant, tests: list[str]) -> str | None:
        """ "killed", "survived", "stillborn"; None when it was not tried yet, or not on these tests."""
        known = self._known.get(key(mutant))
        if known is None or (known["said"] == "survived" and known["tests"] != digest_of_tests(tests)):
            return None
        return known["said"]

    def counted(self, drawing: "Drawn") -> tuple[int, int, int]:
        """How many of its sample make a difference and were tried, how many of these were noticed; the equivalent."""
        from tests.mutation.drawing import equivalent

        same = equivalent()
        said = [(str(each) in same, self.of(each, drawing.tests[str(each)])) for each in drawing.sample]
        live = [word for is_same, word in said if not is_same and word not in (None, "stillborn")]
        return len(live), sum(str(word).startswith("killed") for word in live), sum(is_same for is_same, _ in said)

    def enough(self, drawing: "Drawn") -> bool:
        """Whether all of its sample was tried, and enough of it noticed."""
        tried, killed, _ = self.counted(drawing)
        every = all(self.of(each, drawing.tests[str(each)]) for each in drawing.sample)
        return self.control == "survived" and every and killed >= FLOOR * tried

    def alive(self, drawings: "list[Drawn]") -> list[str]:
        """Those that no test noticed, the equivalent ones left out."""
        from tests.mutation.drawing import equivalent

        same = equivalent()
        every = [(each, drawing.tests[str(each)]) for drawing in drawings for each in drawing.sample]
        return [str(each) for each, tests in every if self.of(each, tests) == "survived" and str(each) not in same]


def key(mutant: Mutant) -> str:
    """The mutant, and a digest of the file that it is in: another file is another mutant."""
    return f"{mutant} @{_digest(mutant.path)}"


@functools.cache
def _digest(path: str) -> str:
    return hashlib.sha256(ast.dump(ast.parse((ROOT / path).read_text())).encode()).hexdigest()[:12]


def digest_of_tests(tests: list[str]) -> str:
    """Of their names and the files that they stand in."""
    files = sorted({name.partition("::")[0] for name in tests})
    return hashlib.sha256("\n".join([*sorted(tests), *(_digest(file) for file in files)]).encode()).hexdigest()[:12]
