"""Which mutants of a package are tried: a seeded sample of those that a test reaches, with the tests to ask."""

import dataclasses
import json
import random
import tomllib
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


@dataclass(frozen=True)
class Drawn:
    """One package: how many mutants it has, which of them tests reach, and the sample."""

    package: str
    total: int
    reached: int
    sample: list[Mutant]
    tests: dict[str, list[str]]

    def orders(self, verdicts: Verdicts) -> list[Order]:
        """What is not known yet, behind a control: the quickest test of each, with nothing changed."""
        unknown = [each for each in self.sample if verdicts.of(each) is None]
        control = sorted({self.tests[str(each)][0] for each in unknown})
        return [Order(None, control), *(Order(dataclasses.asdict(each), self.tests[str(each)]) for each in unknown)]


def equivalent() -> dict[str, str]:
    """Mutants that change nothing anybody could see, and why."""
    listed = tomllib.loads(EQUIVALENT.read_text())["mutant"]
    return {f"{each['path']} {each['function']}: {each['change']}": each["reason"] for each in listed}


def every(package: str) -> list[Mutant]:
    """All mutants of a package."""
    files = sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))
    return [mutant for path in files for mutant in mutants(str(path))]


def drawn(package: str, sample: int, state: Path) -> Drawn:
    """The sample of a package (0: everything that is reached)."""
    data = CoverageData(str(state / ".coverage"))
    data.read()
    seconds: dict[str, float] = json.loads((state / "seconds.json").read_text())
    found = every(package)
    reaching = {path: data.contexts_by_lineno(str(ROOT / path)) for path in {mutant.path for mutant in found}}
    tests = {str(mutant): _asked(mutant, reaching[mutant.path], seconds) for mutant in found}
    random.Random(f"{SEED} {package}").shuffle(found)
    reached = [mutant for mutant in found if tests[str(mutant)]]
    return Drawn(package, len(found), len(reached), reached[: sample or None], tests)


def _asked(mutant: Mutant, contexts: dict[int, list[str]], seconds: dict[str, float]) -> list[str]:
    """Tests that reach a line of it and passed: those of its own package first, the quickest first."""
    names = {name for line in mutant.lines for name in contexts.get(line, []) if name in seconds}
    home = f"tests/{Path(mutant.path).parent}"
    return sorted(names, key=lambda name: (not name.startswith(home), seconds[name], name))
