"""What servers say is judged by its records, and there is a limit to how much of it is listened to."""

import json
import time
from collections.abc import Iterator
from typing import cast

import paramiko
import pytest

from engine.ssh import conversation as module
from engine.ssh.conversation import Conversation, OutputCount, OutputRate
from engine.ssh.errors import Flooded


class Said(Conversation):
    """A conversation whose other end says these blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        channel = cast(paramiko.Channel, type("Channel", (), {"in_buffer": _Buffer(), "in_stderr_buffer": _Buffer()})())
        super().__init__(cast(paramiko.Transport, None), channel, "the agent (run)", "web-01")
        self._blocks = blocks

    def blocks(self, *, deadline: float, silence: float | None = None) -> Iterator[bytes]:
        return self._blocks


class _Buffer:
    def set_event(self, event: object) -> None:
        """Nobody waits here."""


TITLE = b"\x1b]0;web-01\x07"
RECORD = b'{"kind":"result","seq":3}'


@pytest.mark.parametrize("cut", [1, 3, 7, 1 << 16])
@pytest.mark.parametrize(
    "said",
    [
        TITLE + RECORD + b"\n",
        b"Welcome!\nLast login: today\n" + TITLE + RECORD + b"\nbye\n",
        b'{"motd": 1}\n{"kind" nonsense {"kind":"x" ' + RECORD + b" tail\n",
        b"\xff\xfe\x00" + RECORD,
        RECORD + TITLE + b"\n",
    ],
)
def test_a_record_is_heard_whatever_a_shell_prints_around_it(said: bytes, cut: int) -> None:
    talk = Said(said[start : start + cut] for start in range(0, len(said), cut))
    records = [talk.framed(line) for line in talk.lines(deadline=5)]
    assert [record for record in records if record] == [json.loads(RECORD)]
    assert (b"web-01" in talk.beside) == (TITLE in said)


def test_what_stands_beside_the_records_is_kept_within_bounds() -> None:
    talk = Said(iter([b"x" * 50 + b"\n"] * 10_000))
    assert not [record for line in talk.lines(deadline=5) if (record := talk.framed(line))]
    assert 0 < len(talk.beside) < 10_000


def read_all(talk: Said) -> None:
    for line in talk.lines(deadline=60):
        talk.framed(line)


@pytest.mark.parametrize("block", [b"x" * 65536, b"\n" * 65536, RECORD + b"\n", b'{"kind":"alive"}\n' * 4000])
def test_a_flood_is_cut_off_and_named(block: bytes) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield block

    began = time.monotonic()
    said = r"web-01 sent .* bytes .* while the agent \(run\) ran.*It began with: "
    with pytest.raises(Flooded, match=said) as flooded:
        read_all(Said(endless()))
    assert len(str(flooded.value)) < 600
    assert time.monotonic() - began < 30  # an endless line was quadratic: minutes


def test_a_line_of_a_million_beginnings_is_read_in_no_time() -> None:
    line = b'{"kind":"' * 400_000
    began = time.process_time()
    assert Said(iter([])).framed(line) is None
    assert time.process_time() - began < 5


def test_nested_beyond_measure_is_no_record() -> None:
    assert Said(iter([])).framed(b'{"kind":"x","a":' + b"[" * 200_000) is None


def test_what_is_heard_in_several_conversations_is_bounded_altogether() -> None:
    heard = OutputCount()
    often = module.MOST_ALTOGETHER // (65536 * 500)
    for _ in range(often):  # each one alone is below its bound
        read_all(with_heard(heard, [b"x" * 65535 + b"\n"] * 500))
    with pytest.raises(Flooded, match="web-01 sent 26"):
        read_all(with_heard(heard, [b"x" * 65535 + b"\n"] * 500))
    with pytest.raises(Flooded):
        with_heard(heard, [b"x"]).everything(deadline=5)


def with_heard(heard: OutputCount, blocks: list[bytes]) -> Said:
    talk = Said(iter(blocks))
    talk.heard = heard
    return talk


@pytest.mark.parametrize(("size", "lines"), [(1 << 20, 0), (100, 4_000)])
def test_a_server_that_goes_on_and_on_is_cut_off_below_the_bound_of_a_conversation(size: int, lines: int) -> None:
    now = 0.0
    rate = OutputRate(lambda: now)
    while not rate.too_fast(size, lines):
        now += 1
    assert 30 <= now < 50


@pytest.mark.parametrize(("burst", "pause"), [(60 << 20, 100.0), (4 << 20, 10.0), (1 << 19, 2.0)])
def test_what_comes_whole_or_slowly_is_heard(burst: int, pause: float) -> None:
    now = 0.0
    rate = OutputRate(lambda: now)
    for _ in range(200):
        assert not rate.too_fast(burst, 1)
        now += pause


def test_an_endless_output_of_a_command_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    with pytest.raises(Flooded, match="web-01"):
        Said(iter([b"\x1b[31mx" * 10_000] * 100)).everything(deadline=5)
