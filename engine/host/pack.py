"""Packs a package that runs on servers into the one file that travels.

The modules that `__main__` (or another entry) needs come one after the other, each behind those it imports; imports
among them fall away, and the standard library's come first, once. Nothing but the text of the modules decides, so a
package is the same bytes wherever it is packed. To find a line of a traceback: the nearest `# ---- package/module.py`
above it names the module.
"""

import ast
from collections.abc import Iterator
from importlib.resources.abc import Traversable


class UnfitPackageError(Exception):
    """The modules cannot share one file; the text says which name or import is in the way."""


def pack(package: Traversable, entry: str = "__main__") -> bytes:
    """The program that `python -m package` (or `package.entry`) would run, as one file. Raises UnfitPackageError."""
    modules: dict[str, _Module] = {}
    for needed in ("__init__", entry):
        _add(modules, package, needed, ())
    library: dict[str, str] = {}
    owners: dict[str, str] = {}
    for module in modules.values():
        library.update(module.library)
        for name, owner in [*((name, module.title) for name in module.names), *module.library.items()]:
            if owners.setdefault(name, owner) != owner:
                raise UnfitPackageError(f"{name} is the name of two things: {owners[name]} and {owner}; rename one.")
    pieces = [f"# ---- {module.title}\n{module.text}" for module in modules.values()]
    imports = "\n".join(sorted(library.values(), key=lambda line: (line.startswith("from"), line)))
    head = f"#!/usr/bin/env python3\nfrom __future__ import annotations\n\n{imports}"
    return ("\n\n\n".join([head, *pieces]) + "\n").encode()


def _add(modules: dict[str, "_Module"], package: Traversable, name: str, above: tuple[str, ...]) -> None:
    if name in above:
        raise UnfitPackageError(f"{' -> '.join([*above, name])}: these import each other in a circle.")
    if name in modules:
        return
    module = _Module(package, name)
    for needed, names in sorted(module.own.items()):
        _add(modules, package, needed, (*above, name))
        if names - modules[needed].names:
            raise UnfitPackageError(f"{modules[needed].title} itself defines no {', '.join(sorted(names))}.")
    modules[name] = module


class _Module:
    """One file: its text without its imports, what it imports, and which names it brings into the file."""

    def __init__(self, package: Traversable, name: str) -> None:
        *self._folders, stem = name.split(".")
        self.title = "/".join([package.name, *self._folders, f"{stem}.py"])
        self.own: dict[str, set[str]] = {}
        self.library: dict[str, str] = {}
        text = package.joinpath(*self._folders, f"{stem}.py").read_bytes().decode()
        tree, lines = ast.parse(text), text.split("\n")
        for node in reversed(tree.body):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._note(node)
                del lines[node.lineno - 1 : node.end_lineno]
        self.text = "\n".join(lines).strip("\n")
        rest = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
        self.names = {name for node in rest for name in _bound(node)}
        for found in (found for node in rest for found in ast.walk(node)):
            if isinstance(found, ast.ImportFrom) and found.level:
                raise UnfitPackageError(f"{self.title}, line {found.lineno}: imports a neighbour inside other code.")

    def _note(self, node: ast.Import | ast.ImportFrom) -> None:
        where = f"{self.title}, line {node.lineno}"
        if any(alias.asname or alias.name == "*" for alias in node.names):
            raise UnfitPackageError(f"{where}: one file knows each thing by its own name only; import it without 'as'.")
        if isinstance(node, ast.Import):
            self.library.update({alias.name.partition(".")[0]: f"import {alias.name}" for alias in node.names})
        elif not node.level:
            names = [alias.name for alias in node.names if node.module != "__future__"]
            self.library.update({name: f"from {node.module} import {name}" for name in names})
        elif node.module is None:
            raise UnfitPackageError(f"{where}: imports a module; import the names it needs from it.")
        else:
            folders = self._folders[: len(self._folders) - node.level + 1]
            target = ".".join([*folders, node.module])
            self.own.setdefault(target, set()).update(alias.name for alias in node.names)


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module binds in it."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
        return
    yield from (
        found.id for found in ast.walk(node) if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Store)
    )
