"""Wheels: from a directory, and fetched by the real pip from a directory that stands for the index."""

from pathlib import Path

import pytest

from engine.artifacts.errors import WheelsUnavailable
from engine.artifacts.lock import Lock, read_lock
from engine.artifacts.wheels import DirectoryWheels, PipWheels, architectures, mismatch, platforms, unfit
from tests.engine.artifacts.projects import lock_line, wheel

MODERN = "cp311-cp311-manylinux_2_28_x86_64"


def lock(*lines: str) -> Lock:
    found, problems = read_lock("requirements.txt", "".join(lines).encode())
    assert problems == []
    return found


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for the only index; nothing leaves the machine."""
    directory = tmp_path / "index"
    directory.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(directory), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("EXTRA_INDEX_URL", "INDEX_URL", "CONSTRAINT"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    return directory


def test_platforms_have_every_name_of_each_glibc() -> None:
    tags = platforms()
    assert tags[0] == "manylinux_2_36_x86_64"
    assert tags[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert tags.index("manylinux2014_x86_64") == tags.index("manylinux_2_17_x86_64") + 1


def test_platforms_are_those_of_the_servers_architecture() -> None:
    tags = platforms("aarch64")
    assert tags[0] == "manylinux_2_36_aarch64"
    assert tags[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]
    assert platforms("riscv64") == []


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_wheels_and_packages_are_those_of_the_servers_architecture(
    tmp_path: Path, index: Path, architecture: str
) -> None:
    native = {name: wheel(index, "stem", tag=f"cp311-cp311-manylinux_2_17_{name}") for name in platform_names}
    only = {name: wheel(index, f"only{name[0]}") for name in platform_names}
    wanted = lock(
        lock_line(*native.values()),
        *(lock_line(path).replace(" --", f" ; platform_machine == '{name}' --", 1) for name, path in only.items()),
    )
    for source in (DirectoryWheels(index), PipWheels(tmp_path / "cache")):
        found = source.wheels(wanted, "3.11", architecture)
        assert [path.name for path in found] == sorted([only[architecture].name, native[architecture].name])
    names = [path.name for path in (*native.values(), *only.values())]
    assert unfit(names, "3.11", architecture) == [path.name for name, path in native.items() if name != architecture]
    assert unfit(names, "3.12", architecture) == [path.name for path in native.values()]
    assert architectures([native[architecture].name, only["x86_64"].name]) == [architecture]
    assert architectures(path.name for path in only.values()) == []


platform_names = ["x86_64", "aarch64"]


def test_a_directory_gives_the_best_wheel_with_a_hash_of_the_lock(tmp_path: Path) -> None:
    pure = wheel(tmp_path, "leaf")
    native = wheel(tmp_path, "leaf", tag=MODERN)
    other_python = wheel(tmp_path, "leaf", tag="cp312-cp312-manylinux_2_28_x86_64")
    other_system = wheel(tmp_path, "leaf", tag="cp311-cp311-win_amd64")
    wheel(tmp_path, "leaf", tag="cp311-cp311-manylinux_2_17_x86_64")  # not in the lock
    (tmp_path / "not-a-wheel.whl").write_text("")
    source = DirectoryWheels(tmp_path)
    assert source.wheels(lock(lock_line(pure, native, other_python, other_system)), "3.11") == [native]
    assert source.wheels(lock(lock_line(pure, native, other_python, other_system)), "3.12") == [other_python]
    assert source.wheels(lock(lock_line(pure, other_system)), "3.11") == [pure]
    with pytest.raises(WheelsUnavailable, match="no wheel of leaf that fits"):
        source.wheels(lock(lock_line(other_system)), "3.11")


def test_pip_fetches_what_the_servers_need_and_keeps_it(tmp_path: Path, index: Path) -> None:
    pure, native = wheel(index, "leaf"), wheel(index, "stem", "2.0", MODERN)
    windows = wheel(index, "stem", "2.0", "cp311-cp311-win_amd64")
    wanted = lock(
        "# comment\n",
        lock_line(pure),
        lock_line(native, windows),
        f"shell==1 ; sys_platform == 'win32' --hash=sha256:{'a' * 64}\n",
        f"old==1 ; python_version < '3.11' --hash=sha256:{'a' * 64}\n",
    )
    source = PipWheels(tmp_path / "cache")
    first = source.wheels(wanted, "3.11")
    assert [path.name for path in first] == [pure.name, native.name]
    for path in index.iterdir():
        path.unlink()
    assert source.wheels(wanted, "3.11") == first
    same_packages = lock("# another comment\n", lock_line(*first[1:]), lock_line(*first[:1]))
    with pytest.raises(WheelsUnavailable):
        source.wheels(same_packages, "3.11")  # the hashes it accepts differ: it has its own place
    assert sorted(path.name for path in source.cache.iterdir()) == [first[0].parent.name]


def test_a_lock_without_packages_asks_nobody(tmp_path: Path) -> None:
    assert PipWheels(tmp_path / "cache").wheels(lock("# nothing\n"), "3.11") == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["changed", "gone", "added"])
def test_a_damaged_cache_is_fetched_again(tmp_path: Path, index: Path, damage: str) -> None:
    wanted = lock(lock_line(wheel(index, "leaf")), lock_line(wheel(index, "stem")))
    source = PipWheels(tmp_path / "cache")
    kept = source.wheels(wanted, "3.11")
    if damage == "changed":
        kept[0].write_bytes(b"x")
    elif damage == "gone":
        kept[0].unlink()
    else:
        wheel(kept[0].parent, "extra")
    again = source.wheels(wanted, "3.11")
    assert again == kept
    assert mismatch(again, wanted.needed("3.11")) is None


def test_a_package_without_a_wheel_is_named_with_what_to_do(tmp_path: Path, index: Path) -> None:
    (index / "stem-1.0.tar.gz").write_bytes(b"")
    wanted = lock(f"stem==1.0 --hash=sha256:{'a' * 64}\n")
    with pytest.raises(WheelsUnavailable) as caught:
        PipWheels(tmp_path / "cache").wheels(wanted, "3.11")
    assert "stem==1.0" in caught.value.message
    assert "for Python 3.11 on Linux x86_64" in caught.value.message
    assert "source archive" in caught.value.hint
    assert caught.value.permanent
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_with_another_hash_is_an_alarm(tmp_path: Path, index: Path) -> None:
    wanted = lock(lock_line(wheel(index, "leaf")))
    wheel(index, "leaf").write_bytes(wheel(tmp_path, "leaf").read_bytes() + b"extra")
    with pytest.raises(WheelsUnavailable) as caught:
        PipWheels(tmp_path / "cache").wheels(wanted, "3.11")
    assert "another hash than the lock" in caught.value.message
    assert "tampered" in caught.value.hint
    assert caught.value.permanent


def test_an_index_that_cannot_be_reached_may_be_tried_again(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple")  # the discard port: nobody listens
    with pytest.raises(WheelsUnavailable) as caught:
        PipWheels(tmp_path / "cache").wheels(lock(f"stem==1.0 --hash=sha256:{'a' * 64}\n"), "3.11")
    assert not caught.value.permanent
    assert "cannot be reached" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_file_in_the_current_directory_does_not_pass_for_pip(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert len(PipWheels(tmp_path / "cache").wheels(lock(lock_line(wheel(index, "leaf"))), "3.11")) == 1
    assert not (tmp_path / "ran").exists()


def test_wheels_must_be_exactly_one_for_each_package(tmp_path: Path) -> None:
    leaf, stem = wheel(tmp_path, "leaf"), wheel(tmp_path, "stem")
    needed = lock(lock_line(leaf), lock_line(stem)).needed("3.11")
    assert mismatch([leaf, stem], needed) is None
    assert "none for stem==1.0" in str(mismatch([leaf], needed))
    assert "leaf-1.0-py3-none-any.whl has no hash" in str(mismatch([leaf, stem, leaf], needed))
