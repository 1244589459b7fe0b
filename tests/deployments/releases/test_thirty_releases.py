"""Thirty releases of one application that differ in three files take little more room than one; so does a backup."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.backup.backups import make_backup
from deployments.core.actors import system_actor
from deployments.models import Release
from deployments.releases.artifacts import open_release
from deployments.releases.builds import build_release
from tests.engine.artifacts.projects import project
from tests.fixtures.records import whole

ACTOR = system_actor("tests")
MEGABYTE = 1_000_000


def room(directory: Path) -> int:
    """Bytes of disk below `directory`; what several names lead to counts once, as `du` has it."""
    found = (path.lstat() for path in directory.rglob("*"))
    return sum({(entry.st_dev, entry.st_ino): entry.st_blocks * 512 for entry in found}.values())


def application(root: Path, megabytes: int) -> Path:
    """An application: an asset of two thirds of its size, and ten files a megabyte that share the rest."""
    noise = random.Random(1)  # not compressible, and the same every time
    rest = MEGABYTE // 30
    files: dict[str, str | bytes] = {f"tea/part-{number}": noise.randbytes(rest) for number in range(10 * megabytes)}
    return project(root, {**files, "tea/asset": noise.randbytes(megabytes * MEGABYTE * 2 // 3)})


def versions(source: Path, count: int) -> Iterator[Release]:
    """Releases of which each differs in VERSION and two other files from the one before."""
    for number in range(count):
        (source / "VERSION").write_text(f"1.0.{number}\n")
        (source / "tea" / "__main__.py").write_text(f"print('tea {number}')\n")
        (source / "tea" / "part-7").write_bytes(f"{number}".encode() * 1000)
        yield build_release(actor=ACTOR, source=source, ref=None)[0]


@pytest.mark.parametrize(("megabytes", "count"), [(3, 6), pytest.param(96, 30, marks=pytest.mark.full)])
@pytest.mark.django_db(transaction=True)
def test_thirty_releases_and_their_backup(
    state_dir: Path, tmp_path: Path, settings: Any, megabytes: int, count: int
) -> None:
    source = application(tmp_path / "source", megabytes)
    settings.STATE_DIR = state_dir / "state"
    settings.MEDIA_ROOT = state_dir / "state" / "artifacts"
    settings.STATE_DIR.mkdir()
    backups = tmp_path / "backups"
    sizes, copies, made = [], [], []
    for release in versions(source, count):
        made.append(release)
        if release.version in ("1.0.0", f"1.0.{count - 1}"):
            sizes.append(room(settings.STATE_DIR))
            copies.append(make_backup(actor=ACTOR, directory=backups, passphrase="correct horse battery", keep=9).size)
            shutil.rmtree(backups)
    one = megabytes * MEGABYTE
    print(f"portal {sizes[-1] / 1e6:.1f} MB, backup {copies[-1] / 1e6:.1f} MB, one release {made[0].size / 1e6:.1f} MB")
    assert one <= made[0].size <= sizes[0]
    assert sizes[-1] - sizes[0] < one * count / 100, sizes
    assert copies[-1] - copies[0] < one * count / 100, copies
    if megabytes == 96:
        assert sizes[-1] < 130 * MEGABYTE
        assert copies[-1] < 130 * MEGABYTE
    with open_release(made[0]) as reader:
        reader.verify()
    assert len(whole(made[-1])) == made[-1].size
    assert [path.name for path in settings.STATE_DIR.iterdir()] == ["artifacts"]
