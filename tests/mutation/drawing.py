"""Which mutants of a package are tried: a seeded sample of those that a test reaches, with the tests to ask."""

import dataclasses
import hashlib
import json
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import CoverageData

from tests.mutation.operators import ROOT, Mutant, mutants
from tests.mutation.verdicts import Verdicts

SEED = "1"
SAMPLE = 40
PACKAGES = (
    "deployments/requests",
    "deployments/access",
    "deployments/execution",
    "engine/artifacts",
    "engine/host/agent",
)
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Order:
    """A mutant as JSON (None: nothing is changed), and the tests to ask in this order."""

    mutant: dict[str, Any] | None
    tests: list[str]
    slowest: float
    """Seconds that the longest of them takes."""


@dataclass(frozen=True)
class Drawn:
    """One package: how many mutants it has, which of them tests reach, and the sample."""

    package: str
    total: int
    reached: int
    sample: list[Mutant]
    tests: dict[str, list[str]]
    seconds: dict[str, float]
    seed: str

    def orders(self, verdicts: Verdicts) -> list[Order]:
        """What is not known yet, behind a control: the first test of each, with nothing changed."""
        unknown = [each for each in self.sample if verdicts.of(each, self.tests[str(each)]) is None]
        control = sorted({self.tests[str(each)][0] for each in unknown})
        return [self._order(None, control), *(self._order(each, self.tests[str(each)]) for each in unknown)]

    def _order(self, mutant: Mutant | None, tests: list[str]) -> Order:
        slowest = max((self.seconds[name] for name in tests), default=0.0)
        return Order(dataclasses.asdict(mutant) if mutant else None, tests, slowest)


def equivalent() -> dict[str, str]:
    """Mutants that change nothing anybody could see, and why."""
    listed = tomllib.loads(EQUIVALENT.read_text())["mutant"]
    return {f"{each['path']} {each['function']}: {each['change']}": each["reason"] for each in listed}


def every(package: str) -> list[Mutant]:
    """All mutants of a package."""
    files = sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))
    return [mutant for path in files for mutant in mutants(str(path))]


def drawn(package: str, sample: int, state: Path, seed: str = SEED) -> Drawn:
    """The sample of a package (0: everything that is reached); a change elsewhere in the package leaves it as it is."""
    data = CoverageData(str(state / ".coverage"))
    data.read()
    seconds: dict[str, float] = json.loads((state / "seconds.json").read_text())
    known = Known(seconds)
    found = every(package)
    reaching = {path: data.contexts_by_lineno(str(ROOT / path)) for path in {mutant.path for mutant in found}}
    tests = {str(mutant): known.asked(mutant, reaching[mutant.path]) for mutant in found}
    found.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant}".encode()).digest())
    reached = [mutant for mutant in found if tests[str(mutant)]]
    return Drawn(package, len(found), len(reached), reached[: sample or None], tests, seconds, seed)


class Known:
    """The tests that passed, by name and by the file, class or module whose fixtures they share."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._sharing: dict[str, set[str]] = {}
        for name in seconds:
            parts = name.split("::")
            for length in range(1, len(parts)):
                self._sharing.setdefault("::".join(parts[:length]), set()).add(name)

    def asked(self, mutant: Mutant, contexts: dict[int, list[str]]) -> list[str]:
        """Every test that reaches a line of it: its own module's first, then its package's; the quickest first.

        Of each test one case comes before any second one: cases of one test notice much the same.
        """
        reaching = {context for line in mutant.lines for context in contexts.get(line, [])}
        names = {name for context in reaching for name in self._sharing.get(context, {context})} & set(self._seconds)
        path = Path(mutant.path)
        room = next(each for each in path.parents if (ROOT / "tests" / each).is_dir())
        home, own = f"tests/{room}/", f"tests/{room}/test_{path.stem}.py::"
        cases: Counter[str] = Counter()
        ranked = []
        for name in sorted(names, key=lambda name: (self._seconds[name], name)):
            case = cases[test := name.partition("[")[0]]
            cases[test] += 1
            ranked.append((not name.startswith(own), not name.startswith(home), case, self._seconds[name], name))
        return [name for *_, name in sorted(ranked)]
