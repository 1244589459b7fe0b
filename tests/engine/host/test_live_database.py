"""Opening what another account may have put there: no link is followed, no pipe waited for, nothing else is read."""

import os
from pathlib import Path

import pytest

from engine.host.agent.errors import StepFailed
from engine.host.agent.live_database import open_below


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The application's directory, and something beside it that is none of its."""
    (tmp_path / "secret").write_bytes(b"of root")
    data = tmp_path / "data"
    (data / "deep" / "er").mkdir(parents=True)
    (data / "deep" / "er" / "tea.db").write_bytes(b"tea")
    return data


def opened() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}


def test_a_plain_file_is_read_however_deep_it_lies(data: Path) -> None:
    fd = open_below(str(data), "deep/er/tea.db")
    assert os.read(fd, 10) == b"tea"
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("how", ["link", "link above", "pipe", "directory"])
def test_what_is_no_plain_file_is_refused_by_name_and_nothing_stays_open(data: Path, how: str) -> None:
    name, before = "deep/tea.db", opened()
    if how == "link":
        (data / name).symlink_to(data.parent / "secret")
    elif how == "link above":
        (data / "there").symlink_to(data.parent)
        name = "there/secret"
    elif how == "pipe":
        os.mkfifo(data / name)
    else:
        (data / name).mkdir()
    with pytest.raises(StepFailed) as failed:
        open_below(str(data), name)
    assert failed.value.reason == "not_a_file"
    assert str(failed.value).startswith(f"{data}/{name} is ")
    assert opened() == before


@pytest.mark.parametrize("name", ["nothing.db", "deep/nothing/tea.db"])
def test_what_is_not_there_is_just_not_there(data: Path, name: str) -> None:
    before = opened()
    with pytest.raises(FileNotFoundError):
        open_below(str(data), name)
    assert opened() == before


def test_a_directory_is_opened_where_one_is_asked_for(data: Path) -> None:
    fd = open_below(str(data), "deep/er", os.O_RDONLY | os.O_DIRECTORY)
    assert os.path.samestat(os.fstat(fd), (data / "deep" / "er").stat())
    os.close(fd)
    with pytest.raises(StepFailed, match="is not read"):
        open_below(str(data), "deep/er/tea.db", os.O_RDONLY | os.O_DIRECTORY)
