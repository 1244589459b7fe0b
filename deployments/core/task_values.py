"""Arguments and results in the queue's tables, which are pickles: read as text, never run.

Whoever unpickles runs what was pickled. django-q2 does so whenever it reads a row of its tasks, for a page or to delete
an old one, so whoever may write to that table could run code in the portal. Here the values of a pickle are picked out
of its instructions, none of which is carried out; what is more than plain values is not shown.
"""

import binascii
import pickletools
from base64 import b64decode

from django.apps import apps

LONGEST = 100_000
"""Characters of a stored value that are looked at; results of ours are a few hundred."""
NOT_SHOWN = "(not shown: more than plain text and numbers)"
_VALUES = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
}  # fmt: skip
_WORDS = {"NONE": "None", "NEWTRUE": "True", "NEWFALSE": "False"}
_SILENT = {
    "PROTO", "FRAME", "MEMOIZE", "MARK", "STOP", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE",
    "EMPTY_LIST", "EMPTY_DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS",
}  # fmt: skip


def plain(stored: str) -> str:
    """What a stored pickle holds, if that is text and numbers, one after the other."""
    if len(stored) > LONGEST:
        return "(not shown: too long)"
    said: list[str] = []
    try:
        for operation, value, _ in pickletools.genops(b64decode(stored, validate=True)):
            if operation.name in _VALUES:
                said.append(str(value))
            elif operation.name in _WORDS:
                said.append(_WORDS[operation.name])
            elif operation.name not in _SILENT:
                return NOT_SHOWN
    except (ValueError, binascii.Error, UnicodeError):
        return NOT_SHOWN
    return ", ".join(said)


def _read(value: str | None, *_: object) -> str | None:
    return None if value is None else plain(value)


def disarm() -> None:
    """Have every read of the queue's tasks, the library's own too, give text for its pickled columns."""
    for name in ("args", "kwargs", "result"):
        field = apps.get_model("django_q", "Task")._meta.get_field(name)
        # the library's own class decodes in both
        field.from_db_value = _read
        field.to_python = lambda value: value
