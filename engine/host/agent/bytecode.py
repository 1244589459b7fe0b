"""The program itself: where its file lies, and its compiled form beside it."""

from __future__ import annotations

import os

from .files import fsync_path

PROGRAM = os.path.abspath(__file__)
"""The file that runs; on a server that is the whole agent, packed."""


def compiled_form(source: str) -> str:
    """Where Python looks for a source's compiled form."""
    import importlib.util

    return importlib.util.cache_from_source(source)


def keep_compiled() -> None:
    """Leave the compiled form beside the source, so that the next start is quicker; best effort."""
    try:
        compiled = compiled_form(PROGRAM)
        if os.path.exists(compiled):
            return
        import py_compile

        temporary = "%s.%d.tmp" % (compiled, os.getpid())
        py_compile.compile(PROGRAM, temporary, doraise=True)
        fsync_path(temporary)  # a torn one would keep the agent from starting
        os.rename(temporary, compiled)
    except Exception:  # noqa: BLE001 - it is only about a tenth of a second
        return
