"""The pip that comes with Python, compiled once and kept: a new environment need not compile it anew."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import os
import sys
import zipfile
from typing import List, Optional

from .machine import Change, Machine, Operation
from .root_files import put_root_file

FITS, NONE = "of the pip that Python carries", "Python carries none"


def op_pip(machine: Machine, operation: Operation) -> Change:
    """An archive of root's with the compiled pip; the agent compares what its comment says that it was made from.

    Without it, and after an update of Python or pip until the next provisioning, deployments compile pip themselves.
    """
    path, wheel = operation["path"], bundled_wheel()
    if wheel is None and not machine.plan:
        return NONE, NONE  # what provisioning installs has brought none: this Python comes from elsewhere
    machine.ours.add("file", path)  # nobody else's lies beside root's records
    wanted, before = made_from(wheel) if wheel else "", kept_from(path)
    if wanted and before == wanted:
        return FITS, FITS
    if wheel and not machine.plan:
        put_root_file(path, compiled(wheel, wanted), 0o644)
    return "missing" if before is None else "of another pip or Python", FITS


def bundled_wheel() -> Optional[str]:
    """Where ensurepip has pip's wheel; None without one."""
    try:
        import ensurepip
    except ImportError:
        return None
    beside = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    directories: List[str] = [getattr(ensurepip, "_WHEEL_PKG_DIR", None) or beside, beside]
    for directory in directories:
        for name in sorted(os.listdir(directory) if os.path.isdir(directory) else ()):
            if name.startswith("pip-") and name.endswith(".whl"):
                return os.path.join(directory, name)
    return None


def made_from(wheel: str) -> str:
    """Which pip for which Python: one that was compiled for another is no use."""
    with open(wheel, "rb") as file:
        return "%s sha256 %s" % (sys.implementation.cache_tag, hashlib.sha256(file.read()).hexdigest())


def kept_from(path: str) -> Optional[str]:
    """What the archive that lies there was made from, as it says itself; None when there is none, "" for no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode(errors="replace")
    except FileNotFoundError:
        return None
    except (OSError, zipfile.BadZipFile):
        return ""


def compiled(wheel: str, comment: str) -> bytes:
    """An archive with the modules of a wheel as bytecode, which Python takes as it is, and all else unchanged."""
    content = io.BytesIO()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(content, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".py"):
                code = compile(data, "%s/%s" % (wheel, name), "exec", dont_inherit=True)
                unchecked = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
                name, data = name + "c", unchecked + marshal.dumps(code)
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.comment = comment.encode()
    return content.getvalue()
