"""Every small change to a module's functions, one at a time: what its tests have to notice.

`mutants(path)` is all of them, in an order that does not change; OPERATORS names the kinds. A change stands inside a
function, where it can be put in place while a test process runs: signatures, decorators, annotations, module constants,
log lines and the text of sentences are left as they are.
"""

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = {
    "condition": "a condition that always holds, or never",
    "comparison": "a comparison turned round, or with its boundary moved",
    "logic": "`and` for `or` and back; `not` deleted",
    "arithmetic": "+ for −, × for ÷, and back",
    "constant": "a number one larger; True for False and back; another word (no sentences)",
    "statement": "a call or a `raise` deleted; `break` for `continue` and back",
    "result": "None returned instead of a value",
    "argument": "a keyword argument, or an entry of a dictionary, left out",
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
WORD = re.compile(r"[a-z][a-z0-9_.]*")
LOG = {"debug", "info", "warning", "error", "exception"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, its kind, what it says, and its number among the changes of the function."""

    path: str
    function: str
    operator: str
    change: str
    lines: tuple[int, ...]
    number: int

    def __str__(self) -> str:
        return f"{self.path} {self.function}: {self.change}"


@dataclass
class _Change:
    """A node, and what stands there instead; applied and taken back on the tree itself."""

    operator: str
    text: str
    parent: ast.AST
    field: str
    index: int | None
    replacement: ast.AST
    lines: range


def mutants(path: str) -> list[Mutant]:
    """All mutants of a module."""
    tree = ast.parse((ROOT / path).read_text())
    found = []
    for name, function in _functions(tree, ""):
        seen: Counter[str] = Counter()
        for number, change in enumerate(_changes(function)):
            seen[change.text] += 1
            again = f" ({seen[change.text]})" if seen[change.text] > 1 else ""
            found.append(Mutant(path, name, change.operator, change.text + again, tuple(change.lines), number))
    return found


def compiled(mutant: Mutant) -> tuple[CodeType, CodeType]:
    """The code of the mutant's function as it is and as it would be."""
    return _code(mutant, None), _code(mutant, mutant.number)


def _code(mutant: Mutant, number: int | None) -> CodeType:
    file = ROOT / mutant.path
    tree = ast.parse(file.read_text())
    function = next(node for name, node in _functions(tree, "") if name == mutant.function)
    if number is not None:
        change = list(_changes(function))[number]
        if change.index is None:
            setattr(change.parent, change.field, change.replacement)
        else:
            getattr(change.parent, change.field)[change.index] = change.replacement
        ast.fix_missing_locations(tree)
    first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
    pending = [compile(tree, str(file), "exec", dont_inherit=True)]
    while pending:
        code = pending.pop()
        if code.co_name == function.name and code.co_firstlineno == first:
            return code
        pending += [each for each in code.co_consts if isinstance(each, CodeType)]
    raise AssertionError(f"no code of {mutant.function}")


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    """Functions of a module and methods of its classes; what is defined inside a function belongs to it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _functions(child, prefix)


def _changes(function: Function) -> Iterator[_Change]:
    for statement in function.body:
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            yield from _within(statement, function, "body", function.body.index(statement))


def _within(node: ast.AST, parent: ast.AST, field: str, index: int | None) -> Iterator[_Change]:
    """Changes of a node in its place, then those of its parts."""
    if _is_log(node) or isinstance(node, ast.JoinedStr | ast.arguments) or _is_left_alone(node):
        return
    for operator, text, replacement in chain(_instead(node), _left_out(node)):
        yield _Change(operator, text, parent, field, index, replacement, _lines(node))
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        if isinstance(value, list):
            for position, each in enumerate(value):
                if isinstance(each, ast.AST) and not _docstring(node, name, position, each):
                    yield from _within(each, node, name, position)
        elif isinstance(value, ast.AST):
            yield from _within(value, node, name, None)


def _docstring(node: ast.AST, name: str, position: int, each: ast.AST) -> bool:
    bare = isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    return isinstance(node, Function | ast.ClassDef) and name == "body" and position == 0 and bare


def _is_log(node: ast.AST) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LOG


def _is_left_alone(node: ast.AST) -> bool:
    """A keyword that makes equivalent mutants alone.

    `chunk_size` is how many rows a query brings at a time, the same rows; `check=False` is what `subprocess.run` does.
    """
    if not isinstance(node, ast.keyword):
        return False
    is_false = isinstance(node.value, ast.Constant) and node.value.value is False
    return node.arg == "chunk_size" or (node.arg == "check" and is_false)


def _lines(node: ast.AST) -> range:
    """Where it is carried out: of a condition the head alone."""
    where = node.test if isinstance(node, ast.If | ast.While | ast.IfExp) else node
    first = int(getattr(where, "lineno", 0))
    return range(first, int(getattr(where, "end_lineno", first)) + 1)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 70 else f"{text[:67]}…"


def _instead(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """What may stand in this node's place."""
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        for value in (True, False):
            changed = copy.copy(node)
            changed.test = ast.copy_location(ast.Constant(value), node.test)
            if not (isinstance(node, ast.While) and value):
                yield "condition", f"`{_text(node.test)}` → {value}", changed
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        changed_compare = copy.copy(node)
        changed_compare.ops = [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
        yield "comparison", f"`{_text(node)}` → `{_text(changed_compare)}`", changed_compare
    elif isinstance(node, ast.BoolOp):
        changed_logic = copy.copy(node)
        changed_logic.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "logic", f"`{_text(node)}` → `{_text(changed_logic)}`", changed_logic
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "logic", f"`{_text(node)}` → `{_text(node.operand)}`", node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        changed_sum = copy.copy(node)
        changed_sum.op = ARITHMETIC[type(node.op)]()
        yield "arithmetic", f"`{_text(node)}` → `{_text(changed_sum)}`", changed_sum
    else:
        yield from _simple(node)


def _simple(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    if isinstance(node, ast.Constant):
        value = _other(node.value)
        if value is not None:
            yield "constant", f"{node.value!r} → {value!r}", ast.copy_location(ast.Constant(value), node)
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield "statement", f"`{_text(node)}` deleted", ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.Break | ast.Continue):
        other = ast.Continue() if isinstance(node, ast.Break) else ast.Break()
        yield "statement", f"`{_text(node)}` → `{_text(other)}`", ast.copy_location(other, node)
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        none = ast.copy_location(ast.Return(ast.copy_location(ast.Constant(None), node.value)), node)
        yield "result", f"`{_text(node)}` → `return None`", none


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _other(value: object) -> bool | int | float | str | None:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str) and WORD.fullmatch(value):
        return f"{value}_"
    return None


def _left_out(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """A call without one of its keywords, a dictionary without one of its entries."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg and keyword.arg != "hint" and not _is_left_alone(keyword):  # a hint is a sentence
                call = copy.copy(node)
                call.keywords = [each for each in node.keywords if each is not keyword]
                yield "argument", f"`{keyword.arg}=` left out of `{_text(node.func)}()`", call
    elif isinstance(node, ast.Dict):
        for index, key in enumerate(node.keys):
            if isinstance(key, ast.Constant):
                rest = copy.copy(node)
                rest.keys = [*node.keys[:index], *node.keys[index + 1 :]]
                rest.values = [*node.values[:index], *node.values[index + 1 :]]
                yield "argument", f"{key.value!r} left out of a dictionary", rest
