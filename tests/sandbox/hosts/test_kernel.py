"""A limit of this machine that many hosts at once run into."""

from pathlib import Path

import pytest

from sandbox.hosts import kernel


@pytest.mark.hosts
def test_hosts_have_room_for_what_their_systemds_watch(bare_host: object) -> None:
    assert int(kernel.INOTIFY_INSTANCES.read_text()) >= kernel.INOTIFY_NEEDED


@pytest.mark.parametrize(("before", "after"), [("128", "1024"), ("1023", "1024"), ("8192", "8192")])
def test_the_limit_is_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str, after: str
) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(before)
    monkeypatch.setattr(kernel, "INOTIFY_INSTANCES", limit)
    kernel.make_room()
    assert limit.read_text() == after
