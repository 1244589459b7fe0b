"""A disk that runs really full, before and in the middle of a run."""

from collections.abc import Iterator

import pytest

from tests.engine.remote.releases import Release, release
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts

FILL = f"""\
dd if=/dev/zero of={ROOT}/releases/filler bs=1M 2>/dev/null
dd if=/dev/zero of={ROOT}/releases/filler2 bs=1k 2>/dev/null
echo x > {ROOT}/releases/filler3
sync
"""


@pytest.fixture
def small(server: Server, old: Release) -> Iterator[Server]:
    """80 MB in all, the old release runs."""
    server.host.disk("80M")
    assert server.run(old, 1).status == "succeeded"
    yield server
    server.shell(f"rm -f {ROOT}/releases/filler*")
    server.host.disk_off()


def test_too_little_room_is_said_beforehand(small: Server, old: Release, new: Release) -> None:
    small.host.disk("10M")
    result = small.run(new, 2, base=old)
    assert (result.status, result.reason) == ("failed", "disk_full"), result
    assert "MB are needed" in result.sentence
    small.assert_runs(old)
    small.assert_tidy()


def test_room_that_runs_out_while_files_arrive(small: Server, old: Release) -> None:
    big = release("2.0", {"big.bin": bytes(range(256)) * 4096 * 8})
    small.rehearse("stage", FILL)
    result = small.run(big, 2, base=old)
    assert (result.status, result.reason) == ("failed", "disk_full"), result
    small.assert_runs(old)
    assert small.releases == [old.identifier, "filler", "filler2", "filler3"]
    small.shell(f"rm -f {ROOT}/releases/filler*")
    small.end_rehearsals()
    small.assert_tidy()
    assert small.run(big, 3, base=old).status == "succeeded"


@pytest.mark.parametrize("moment", ["activate", "restart", "verify-end"])
def test_a_full_disk_does_not_keep_the_agent_from_reverting(
    small: Server, old: Release, new: Release, moment: str
) -> None:
    small.rehearse(moment, FILL + "exit 1")
    result = small.run(new, 2, base=old)
    assert (result.status, result.reason) == ("failed" if moment == "activate" else "reverted", "rehearsed"), result
    small.assert_runs(old)
    with small.client() as client:
        assert client.recover().status == result.status
    small.shell(f"rm -f {ROOT}/releases/filler*")
    small.end_rehearsals()
    small.assert_tidy()
    again = small.run(new, 3, base=old)
    assert again.status == "succeeded", again


def test_not_even_a_journal_that_cannot_be_written_stops_a_revert(small: Server, old: Release, new: Release) -> None:
    # the lines of output use up what is left of the journal's last block
    small.rehearse("verify-end", f"rm -f {ROOT}/.deploy/ballast\n{FILL}seq 1 500\nexit 1")
    result = small.run(new, 2, base=old)
    assert (result.status, result.reason) == ("reverted", "disk_full"), result
    small.assert_runs(old)
    small.shell(f"rm -f {ROOT}/releases/filler*")
    small.end_rehearsals()
    with small.client() as client:
        assert client.recover().status == "reverted"
    small.assert_runs(old)
    small.assert_tidy()
