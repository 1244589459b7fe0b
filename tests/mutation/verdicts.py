"""What became of each mutant, as one line of JSON each; kept between runs while its function stays as it is."""

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
        self._said: dict[str, str] = {each["mutant"]: each["said"] for each in map(json.loads, lines)}
        self.control = self._said.pop("control", "survived")
        """What the tests said with nothing changed, the last time."""

    def of(self, mutant: Mutant) -> str | None:
        """ "killed", "survived", "stillborn"; None when it was not tried yet."""
        return self._said.get(key(mutant))

    def counted(self, drawing: "Drawn") -> tuple[int, int, int]:
        """How many of its sample make a difference and were tried, how many of these were noticed; the equivalent."""
        from tests.mutation.drawing import equivalent

        same = equivalent()
        said = [(str(each) in same, self.of(each)) for each in drawing.sample]
        live = [word for is_same, word in said if not is_same and word not in (None, "stillborn")]
        return len(live), sum(str(word).startswith("killed") for word in live), sum(is_same for is_same, _ in said)

    def enough(self, drawing: "Drawn") -> bool:
        """Whether all of its sample was tried, and enough of it noticed."""
        tried, killed, _ = self.counted(drawing)
        return self.control == "survived" and all(self.of(each) for each in drawing.sample) and killed >= FLOOR * tried

    def alive(self, drawings: "list[Drawn]") -> list[str]:
        """Those that no test noticed, the equivalent ones left out."""
        from tests.mutation.drawing import equivalent

        same = equivalent()
        every = (each for drawing in drawings for each in drawing.sample)
        return [str(each) for each in every if self.of(each) == "survived" and str(each) not in same]


def key(mutant: Mutant) -> str:
    """The mutant, and a digest of the file that it is in: another file is another mutant."""
    return f"{mutant} @{_digest(mutant.path)}"


@functools.cache
def _digest(path: str) -> str:
    return hashlib.sha256(ast.dump(ast.parse((ROOT / path).read_text())).encode()).hexdigest()[:12]
