"""Root's programs in the form that Python keeps beside them, so that each start is spared the compiling."""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import tempfile
from typing import Optional

from .machine import Change, Machine, Operation
from .ownership import roots_own
from .root_files import put_root_file, remove_empty, remove_root_file

_CHECKED = b"\x03\x00\x00\x00"
"""The flags of a form that Python uses only beside the source whose hash it names (PEP 552)."""


def op_compiled(machine: Machine, operation: Operation) -> Change:
    """The form of this server's Python of a program at `path`, where only root may write; or none, if not `present`."""
    path = operation["path"]
    if not operation["present"]:
        return _dropped(machine, path), "absent"
    target, source = importlib.util.cache_from_source(path), roots_own(path)
    if source is not None and path not in machine.changed_paths and _is_of(source, roots_own(target)):
        return "compiled", "compiled"
    if not machine.plan:
        machine.ours.add("file", target)
        put_root_file(target, _compiled(path), 0o644)
    return "not compiled", "compiled"


def _is_of(source: bytes, form: Optional[bytes]) -> bool:
    """Whether it is this source's, and whole: Python would not start the program from a torn one."""
    header = importlib.util.MAGIC_NUMBER + _CHECKED + importlib.util.source_hash(source)
    if form is None or not form.startswith(header):
        return False
    try:
        marshal.loads(form[len(header) :])  # noqa: S302 - only root can have put it there
    except (EOFError, ValueError, TypeError):
        return False
    return True


def _compiled(path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="provision-") as directory:
        form = os.path.join(directory, "form")
        py_compile.compile(path, form, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        with open(form, "rb") as file:
            return file.read()


def _dropped(machine: Machine, path: str) -> str:
    """Those of every Python that this server has had."""
    cache = os.path.join(os.path.dirname(path), "__pycache__")
    stem = os.path.join(cache, os.path.basename(path)[: -len("py")])
    forms = sorted(thing[len("file ") :] for thing in machine.ours.things if thing.startswith("file " + stem))
    for form in forms if not machine.plan else ():
        remove_root_file(form)
        machine.ours.drop("file", form)
    if forms and not machine.plan:
        remove_empty(cache)
    return "compiled" if forms else "absent"
