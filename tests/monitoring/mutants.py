"""Every small change to the shipped rules, one at a time: what the cases of monitoring/tests have to notice.

`every()` is all of them, in an order that does not change; OPERATORS names the kinds; EQUIVALENT lists those that
change nothing anybody could see, with the reason. `python -m tests.monitoring.mutation` tries them.
"""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.monitoring import rules as shipped

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TOKEN = re.compile(
    r"""
    (?P<string>"[^"]*")
  | (?P<window>\[\d+[smhd]\])
  | (?P<number>(?<![\w.])\d+(?:\.\d+)?(?:e\d+)?(?![\w.]))
  | (?P<grouping>\b(?:by|on)\s*\([^)]*\))
  | (?P<word>[a-zA-Z_][a-zA-Z0-9_]*)
  | (?P<matchers>\{[^}]*\})
  | (?P<operator>==|!=|<=|>=|[<>+*/-])
    """,
    re.VERBOSE,
)
COMPARISONS = {"==": ["!="], ">": [">=", "<"], "<": ["<=", ">"], ">=": [">", "<"], "<=": ["<", ">"]}
ARITHMETIC = {"+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"]}
WORDS = {
    "set operator": {"and": ["or", "unless"], "or": ["and"], "unless": ["and", "or"]},
    "aggregation": {"max": ["min", "sum"], "min": ["max"], "sum": ["max"]},
    "modifier": {"bool": [""]},
}
MATCHER = re.compile(r'(?P<label>\w+)(?P<how>=~|=)"(?P<value>[^"]*)"')
OPERATORS = {
    "never, always": "the expression never holds, or always",
    "for": "`for` deleted, 20 % shorter, 20 % longer",
    "label": "a label of the alert deleted, or with another value",
    "number": "a number 20 % smaller, 20 % larger; whole ones up to three also one less, one more",
    "window": "a range 20 % shorter, 20 % longer",
    "comparison": "a comparison turned round, or with its boundary moved in or out",
    "arithmetic": "+ for −, × for ÷, and back",
    "matcher": "a label matcher deleted, negated, or one of its alternatives deleted",
    "grouping": "a label deleted from `by` or `on`",
    "set operator": "`and`, `or`, `unless` for one another",
    "aggregation": "`max`, `min`, `sum` for one another",
    "modifier": "`bool` deleted",
}
_EXISTS = "only whether there is a series counts here, not its value"
_BOTH = "the two terms are matched on all labels: a series that only one of them selects adds nothing"
_WHOLE = "these are whole numbers"
_FLAGS = "of values that are 0 or 1 the sum is 0 exactly when the greatest is"
_COUNTS = "no value is negative: the sum is above 0 exactly when the greatest is"
_VALUE = "it fires with any value, and shows none"
EQUIVALENT: dict[tuple[str, str], str] = {
    ("BotDown", "max → sum (token 0)"): _FLAGS,
    ("BotDown", "max → min (token 7)"): _EXISTS,
    ("BotDown", "max → sum (token 7)"): _EXISTS,
    ("BotDown", "max → min (token 12)"): _EXISTS,
    ("BotDown", "max → sum (token 12)"): _EXISTS,
    ("BotDisconnected", "max → sum (token 0)"): _FLAGS,
    ("BotRestarting", "3 → 3.6 (token 7)"): _WHOLE,
    ("ChannelEmpty", "1 → 1.2 (token 5)"): _WHOLE,
    ("DeploymentSlow", "max → min (token 6)"): _EXISTS,
    ("DeploymentSlow", "max → sum (token 6)"): _EXISTS,
    ("RollbacksRepeated", '{kind="rollback", status="succeeded"} → {status="succeeded"} (token 4)'): _BOTH,
    ("RollbacksRepeated", '{kind="rollback", status="succeeded"} → {kind="rollback"} (token 4)'): _BOTH,
    ("RollbacksRepeated", '{kind="rollback", status="succeeded"} → {status="succeeded"} (token 9)'): _BOTH,
    ("RollbacksRepeated", '{kind="rollback", status="succeeded"} → {kind="rollback"} (token 9)'): _BOTH,
    ("RollbacksRepeated", "[1h] → [4320s] (token 10)"): (
        "a stamp that stood before the hour began is older than the hour, however far back one looks"
    ),
    ("RollbacksRepeated", "2 → 2.4 (token 17)"): _WHOLE,
    ("ServerDrifted", "max → sum (token 0)"): _COUNTS,
    ("ServiceDown", "max → sum (token 0)"): _FLAGS,
    ("DeadMansSwitch", "1 → 0 (token 1)"): _VALUE,
    ("DeadMansSwitch", "1 → 0.8 (token 1)"): _VALUE,
    ("DeadMansSwitch", "1 → 1.2 (token 1)"): _VALUE,
    ("DeadMansSwitch", "1 → 2 (token 1)"): _VALUE,
}
"""(rule, change) → why nobody could ever see a difference."""


@dataclass(frozen=True)
class Mutant:
    """One rule with one change; `rule` is all of it, as YAML would load it."""

    file: str
    operator: str
    change: str
    rule: dict[str, Any]

    @property
    def alert(self) -> str:
        """The name of the alert."""
        return str(self.rule["alert"])

    @property
    def equivalent(self) -> bool:
        """Whether it is listed as one that changes nothing."""
        return (self.alert, self.change) in EQUIVALENT

    def __str__(self) -> str:
        return f"{self.alert}: {self.change}"


def every() -> list[Mutant]:
    """All mutants of all rules; no two are the same."""
    return [
        mutant
        for file in shipped.FILES
        for rule in shipped.rules(file)
        for mutant in (*_around(file, rule), *_inside(file, rule))
    ]


def _around(file: str, rule: dict[str, Any]) -> Iterator[Mutant]:
    """Changes that leave the expression alone, and those that leave nothing of it."""

    def changed(operator: str, change: str, **fields: Any) -> Mutant:
        new = copy.deepcopy(rule) | fields
        return Mutant(file, operator, change, {key: value for key, value in new.items() if value is not None})

    yield changed("never, always", "never", expr=f"({rule['expr']}) and on () vector(0) > 1")
    if rule["alert"] not in shipped.ALWAYS:
        yield changed("never, always", "always", expr=f"({rule['expr']}) or on () vector(1)")
    if "for" in rule:
        yield changed("for", "without for", **{"for": None})
        for factor in (0.8, 1.2):
            new = _scaled(rule["for"], factor)
            yield changed("for", f"for {rule['for']} → {new}", **{"for": new})
    for name, value in rule["labels"].items():
        others = {key: each for key, each in rule["labels"].items() if key != name}
        yield changed("label", f"without label {name}", labels=others)
        yield changed("label", f"label {name}: {value} → another", labels={**others, name: "another"})


def _inside(file: str, rule: dict[str, Any]) -> Iterator[Mutant]:
    expression = str(rule["expr"])
    for number, token in enumerate(TOKEN.finditer(expression)):
        kind = str(token.lastgroup)
        for operator, old, new, start in KINDS.get(kind, _nothing)(token.group()):
            begin = token.start() + start
            changed = expression[:begin] + new + expression[begin + len(old) :]
            words = f"{old.strip()} → {new.strip() or 'nothing'} (token {number})"
            yield Mutant(file, operator, words, {**copy.deepcopy(rule), "expr": changed})


Change = tuple[str, str, str, int]
"""Operator, what is replaced, by what, and where in the token that begins."""


def _nothing(_text: str) -> Iterator[Change]:
    return iter(())


def _number(text: str) -> Iterator[Change]:
    value = float(text)
    others = {value * 0.8, value * 1.2} | ({value - 1, value + 1} if value in (0, 1, 2, 3) else set())
    for other in sorted(others - {value} - {each for each in others if each < 0}):
        yield "number", text, f"{other:.10g}", 0


def _window(text: str) -> Iterator[Change]:
    for factor in (0.8, 1.2):
        yield "window", text, f"[{_scaled(text[1:-1], factor)}]", 0


def _operator(text: str) -> Iterator[Change]:
    for operator, table in (("comparison", COMPARISONS), ("arithmetic", ARITHMETIC)):
        for new in table.get(text, []):
            yield operator, text, new, 0


def _word(text: str) -> Iterator[Change]:
    for operator, table in WORDS.items():
        for new in table.get(text, []):
            yield operator, text, new, 0


def _matchers(text: str) -> Iterator[Change]:
    whole = list(MATCHER.finditer(text))
    for one in whole:
        rest = ", ".join(other.group() for other in whole if other is not one)
        yield "matcher", text, f"{{{rest}}}" if rest else "", 0
        negated = f'{one["label"]}{one["how"].replace("=", "!", 1) if one["how"] == "=~" else "!="}"{one["value"]}"'
        yield "matcher", one.group(), negated, one.start()
        values = one["value"].split("|") if one["how"] == "=~" else []
        for value in values:
            fewer = "|".join(other for other in values if other != value)
            yield "matcher", one.group(), f'{one["label"]}=~"{fewer}"', one.start()


def _grouping(text: str) -> Iterator[Change]:
    words, _, inside = text.partition("(")
    labels = [label.strip() for label in inside.rstrip(")").split(",") if label.strip()]
    for label in labels:
        yield "grouping", text, f"{words}({', '.join(other for other in labels if other != label)})", 0


KINDS: dict[str, Callable[[str], Iterator[Change]]] = {
    "number": _number,
    "window": _window,
    "operator": _operator,
    "word": _word,
    "matchers": _matchers,
    "grouping": _grouping,
}


def _scaled(duration: str, factor: float) -> str:
    return f"{round(int(duration[:-1]) * SECONDS[duration[-1]] * factor)}s"


def as_file(mutant: Mutant) -> str:
    """A file of rules that has this one only."""
    return str(yaml.safe_dump({"groups": [{"name": "mutant", "rules": [mutant.rule]}]}))
