"""Wheels of packages that are installed here, for tests that ask no index: pure Python, as any server can use them."""

import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

_LEFT_OUT = (".pyc", ".so", "direct_url.json", "INSTALLER", "REQUESTED", "RECORD")


def wheels_of(names: Iterable[str], directory: Path) -> Path:
    """A wheel of each in `directory`: its installed files, without what was compiled (all of these do without)."""
    for name in names:
        found = metadata.distribution(name)
        base = f"{found.metadata['Name'].replace('-', '_').replace('.', '_').lower()}-{found.version}"
        with zipfile.ZipFile(directory / f"{base}-py3-none-any.whl", "w") as wheel:
            _fill(wheel, found, f"{base}.dist-info")
    return directory


def _fill(wheel: zipfile.ZipFile, found: metadata.Distribution, info: str) -> None:
    written = []
    for file in found.files or ():
        path = file.as_posix()
        if path.startswith("..") or path.endswith(_LEFT_OUT):
            continue
        if path.split("/")[0].endswith(".dist-info"):
            path = f"{info}/{path.partition('/')[2]}"
        content = Path(str(file.locate())).read_bytes()
        if path == f"{info}/WHEEL":
            content = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(zipfile.ZipInfo(path), content)
        written.append(f"{path},,")
    wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD"), "\n".join([*written, f"{info}/RECORD,,", ""]))
