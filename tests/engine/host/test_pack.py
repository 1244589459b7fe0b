"""What travels is one file that says the same as its package, whoever packs it and wherever; what cannot is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import engine.host
from engine.commands.agent import source
from engine.host.pack import UnfitPackageError, pack

HOST = Path(engine.host.__file__).parent
STAYS = {Path("steps/__init__.py"), Path("fake_machine.py")}
"""A docstring, and what plays a server in tests."""
ALONE = """\
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("pack", sys.argv[1] + "/pack.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.stdout.buffer.write(module.pack(pathlib.Path(sys.argv[1], "agent")))
"""


def pythons() -> list[str]:
    """Interpreters of this machine that can pack; a name on PATH may stand for one that is not installed."""
    found = [sys.executable]
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-V"], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


def package(top: Path, **modules: str) -> Path:
    """A small package; a name with "__" in it stands for a module in a folder."""
    folder = top / "program"
    for name, text in {"__init__": "", "__main__": "", **modules}.items():
        path = folder / f"{name if name.startswith('__') else name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def said(program: bytes, top: Path, python: str = sys.executable) -> str:
    """What the packed program prints."""
    (top / "packed.py").write_bytes(program)
    done = subprocess.run(
        [python, "-I", "-S", "-W", "error", str(top / "packed.py")], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("python", pythons())
@pytest.mark.parametrize("environment", [{"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONUTF8": "0", "LANG": "tr_TR"}])
def test_a_copy_of_the_tree_packed_elsewhere_is_the_same_bytes(
    tmp_path: Path, python: str, environment: dict[str, str]
) -> None:
    before = os.umask(0o077)
    try:
        for path in sorted(HOST.rglob("*.py"), reverse=True):
            copy = tmp_path / path.relative_to(HOST)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    finally:
        os.umask(before)
    command = [python, "-I", "-B", "-c", ALONE, str(tmp_path)]
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout == source("agent")


def test_every_module_of_the_agent_travels_whole() -> None:
    text = source("agent").decode()
    for path in (HOST / "agent").rglob("*.py"):
        title = f"# ---- {path.relative_to(HOST)}\n"
        if path.relative_to(HOST / "agent") in STAYS:
            assert title not in text
            continue
        assert text.count(title) == 1, title
        last = path.read_text().rstrip().splitlines()[-1]
        assert last in text.partition(title)[2]


def test_modules_come_behind_what_they_import(tmp_path: Path) -> None:
    top = package(
        tmp_path,
        __main__="from .b import HALF, double\nfrom .steps.c import add\n\nprint(add(double(HALF)))\n",
        a="import json\nfrom typing import (\n    Any, List,\n)\n\nHALF = 21\nONES: List[int] = json.loads('[1]')\n",
        b="import os\n\nfrom .a import HALF\n\n\ndef double(number):\n    return number * len(os.sep) * 2\n",
        steps__c="from ..a import ONES\nfrom .d import ONE\n\n\ndef add(number):\n    return number + ONE * ONES[0]\n",
        steps__d="ONE = 1\n",
        unused="raise SystemExit('this stays at home')\n",
    )
    with pytest.raises(UnfitPackageError, match=r"a\.py|b\.py"):  # HALF is a's; b only passes it on
        pack(top)
    (top / "__main__.py").write_text(
        "from .a import HALF\nfrom .b import double\nfrom .steps.c import add\n\nprint(add(double(HALF)))\n"
    )
    packed = pack(top)
    assert said(packed, tmp_path) == "43\n"
    assert b"at home" not in packed
    assert packed.count(b"import json\n") == 1


def test_a_traceback_leads_to_the_module(tmp_path: Path) -> None:
    top = package(tmp_path, __main__="from .deep import fall\n\nfall()\n", deep="def fall() -> None:\n    1 / 0\n")
    packed = pack(top)
    trace = said(packed, tmp_path)
    line = int(trace.rpartition(", line ")[2].partition(",")[0])
    above = packed.decode().splitlines()[:line]
    assert above[-1] == "    1 / 0"
    assert [text for text in above if text.startswith("# ----")][-1] == "# ---- program/deep.py"


REFUSED = {
    "a name twice": (
        {"__main__": "from .a import one\nfrom .b import two\n", "a": "one = LIMIT = 1\n", "b": "two = LIMIT = 2\n"},
        "LIMIT is the name of two things: program/a.py and program/b.py",
    ),
    "a name of the standard library's": (
        {"__main__": "import os\nfrom .a import one\n", "a": "one = 1\ndef os(): pass\n"},
        "os is the name of two things",
    ),
    "a name from two modules of the standard library": (
        {"__main__": "from os import path\nfrom .a import one\n", "a": "from sys import path\none = 1\n"},
        "path is the name of two things",
    ),
    "a circle": (
        {
            "__main__": "from .a import one\n",
            "a": "from .b import two\none = 1\n",
            "b": "from .a import one\ntwo = 2\n",
        },
        "__main__ -> a -> b -> a",
    ),
    "another name": ({"__main__": "from .a import one as two\n", "a": "one = 1\n"}, "without 'as'"),
    "everything": ({"__main__": "from .a import *\n", "a": "one = 1\n"}, "line 1"),
    "a module": ({"__main__": "from . import a\n", "a": "one = 1\n"}, "imports a module"),
    "an import in a function": (
        {"__main__": "def late():\n    from .a import one\n    return one\n", "a": "one = 1\n"},
        "line 2: imports a neighbour inside",
    ),
    "a name that is not there": ({"__main__": "from .a import one\n", "a": "two = 2\n"}, "defines no one"),
}


@pytest.mark.parametrize(("modules", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_share_a_file_is_refused(tmp_path: Path, modules: dict[str, str], sentence: str) -> None:
    with pytest.raises(UnfitPackageError) as refused:
        pack(package(tmp_path, **modules))
    assert sentence in str(refused.value)
