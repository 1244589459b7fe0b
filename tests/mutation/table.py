"""The table of docs/tests.md: what was drawn, reached, tried and noticed; what is equivalent, and what is alive."""

from tests.mutation.drawing import Drawn, equivalent
from tests.mutation.operators import OPERATORS, ROOT
from tests.mutation.verdicts import Verdicts

PAGE = ROOT / "docs" / "tests.md"
BEGIN, END = "<!-- mutants of the core -->\n", "<!-- end of the core -->\n"


def written_into_docs(drawings: list[Drawn], verdicts: Verdicts) -> None:
    """Put today's table between the marks."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(drawings, verdicts) + END + rest.partition(END)[2])


def table(drawings: list[Drawn], verdicts: Verdicts) -> str:
    """The Markdown."""
    lines = [f"- {name}: {meaning}" for name, meaning in OPERATORS.items()]
    lines += ["", f"Seed {drawings[0].seed}:", ""]
    lines += ["| package | mutants | reached | tried | equivalent | killed | alive |", "|---|---|---|---|---|---|---|"]
    for each in drawings:
        tried, killed, same = verdicts.counted(each)
        share = 100 * killed / tried if tried else 0.0
        lines.append(
            f"| `{each.package}` | {each.total} | {each.reached} ({100 * each.reached / each.total:.0f} %) "
            f"| {tried + same} | {same} | {killed} ({share:.1f} %) | {tried - killed} |"
        )
    drawn = {str(mutant) for each in drawings for mutant in each.sample}
    if same_ones := [f"- {name}: {reason}" for name, reason in equivalent().items() if name in drawn]:
        lines += ["", "Equivalent, and why:", "", *same_ones]
    if left := verdicts.alive(drawings):
        lines += ["", "Alive:", "", *(f"- {name}" for name in left)]
    return "\n" + "\n".join(lines) + "\n\n"
