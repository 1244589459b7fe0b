"""What units wrote, passed on while somebody listens: which lines, in which order, and what nobody gets to see."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.limits import LINE_LIMIT, Record
from engine.host.agent.logs import Reader, argv_of, as_line, verb_logs
from engine.host.agent.recorder import Masker
from engine.host.agent.tree import Tree
from tests.engine.host.runs import UNIT, frames, request, said, stream

ASKED: Record = {
    "protocol": 1,
    "units": [UNIT],
    "level": "info",
    "since": 0,
    "follow": False,
    "grep": "",
    "lines": 100,
    "seconds": 60.0,
}


@pytest.fixture(autouse=True)
def listening() -> Iterator[int]:
    """A portal that is there: its end of the line, which is standard input here."""
    before, (read_end, write_end) = os.dup(0), os.pipe()
    os.set_blocking(read_end, False)
    os.dup2(read_end, 0)
    os.set_blocking(0, False)
    yield write_end
    os.dup2(before, 0)
    for each in (before, read_end, write_end):
        os.close(each)


Wrote = Callable[..., None]


@pytest.fixture
def wrote(machine: Machine) -> Wrote:
    """Have units have written this."""

    def write(*texts: str) -> None:
        for number, text in enumerate(texts):
            machine.logs(MESSAGE=text, _SYSTEMD_UNIT=UNIT, PRIORITY="4", __REALTIME_TIMESTAMP=str(number * 1_000_000))

    return write


def logs(tree: Tree, **changes: Any) -> Record:
    line = stream(tree)
    try:
        return verb_logs(tree, frames(request({**ASKED, **changes})), line)
    finally:
        os.close(line.fd)


def texts(tree: Tree) -> list[str]:
    return [record["text"] for record in said(tree) if record["kind"] == "line"]


def test_lines_come_as_they_were_written(tree: Tree, wrote: Wrote) -> None:
    wrote("it begins", "it ends")
    result = logs(tree)
    assert (result["reason"], result["facts"]) == ("journal", {"lines": 2}), result
    assert said(tree)[0] == {"kind": "line", "at": 0.0, "unit": UNIT, "level": "warning", "text": "it begins"}
    assert texts(tree) == ["it begins", "it ends"]


def test_a_search_finds_the_newest_and_shows_them_in_order(tree: Tree, wrote: Wrote) -> None:
    """journalctl tells them backwards then."""
    wrote("third ERROR", "fine", "second error", "first error")
    result = logs(tree, grep="Error", lines=2)
    assert result["facts"] == {"lines": 2}
    assert texts(tree) == ["second error", "third ERROR"]


def test_a_secret_is_masked_before_anybody_can_search_for_it(tree: Tree, wrote: Wrote) -> None:
    Path(tree.secrets, "password").write_bytes(b"correct horse battery")
    wrote("signing in with correct horse battery", "signed in")
    assert logs(tree, grep="correct horse")["facts"] == {"lines": 0}
    assert logs(tree)["facts"] == {"lines": 2}
    assert "correct horse" not in "".join(texts(tree))
    assert texts(tree)[0].startswith("signing in with ")


@pytest.mark.parametrize(
    "changes", [{"units": []}, {"units": ["--output=short"]}, {"units": [UNIT, "a b"]}, {"level": "everything"}]
)
def test_what_is_no_unit_and_no_level_never_becomes_an_argument(tree: Tree, machine: Machine, changes: Record) -> None:
    with pytest.raises(Refused) as refused:
        logs(tree, **changes)
    assert refused.value.reason == "bad_request"


def test_what_journalctl_is_asked(tree: Tree) -> None:
    usual = ["--priority", "info", "--unit", UNIT]
    assert argv_of(ASKED)[-6:] == [*usual, "--lines", "100"]
    assert argv_of({**ASKED, "grep": "x"})[-5:] == [*usual, "--reverse"]
    assert argv_of({**ASKED, "since": 7.9, "follow": True})[-9:] == [
        *usual,
        "--since",
        "@7",
        "--follow",
        "--lines",
        "100",
    ]


def test_who_hangs_up_is_not_read_to_any_more(tree: Tree, listening: int) -> None:
    source, _open = os.pipe()
    os.set_blocking(source, False)
    nobody = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nobody, 0)
    result = Reader(source, {**ASKED, "follow": True}, Masker(tree), stream(tree)).read()
    assert result["reason"] == "nobody_listens"
    for each in (source, _open, nobody):
        os.close(each)


def test_what_comes_in_pieces_is_read_to_its_end(tree: Tree) -> None:
    source, write_end = os.pipe()
    texts_told = [f"line {number} {'x' * 100}" for number in range(2000)]
    written = [json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": text}) for text in texts_told]

    def write() -> None:
        with os.fdopen(write_end, "w") as pipe:
            pipe.write("\n".join(written) + "\n")

    writer = threading.Thread(target=write)
    writer.start()
    line = stream(tree)
    result = Reader(source, ASKED, Masker(tree), line).read()
    writer.join()
    for each in (source, line.fd):
        os.close(each)
    assert (result["reason"], result["facts"]) == ("journal", {"lines": 2000})
    assert texts(tree) == texts_told


def test_reading_ends_when_its_time_is_over(tree: Tree) -> None:
    source, _open = os.pipe()
    result = Reader(source, {**ASKED, "follow": True, "seconds": 0.05}, Masker(tree), stream(tree)).read()
    assert result["reason"] == "time_over"
    for each in (source, _open):
        os.close(each)


@pytest.mark.parametrize("line", [b"", b"-- No entries --", b"{}", b"[1]", b'{"__REALTIME_TIMESTAMP": "soon"}'])
def test_what_is_no_line_of_the_journal_is_passed_over(line: bytes) -> None:
    assert as_line(line) is None


def test_what_a_unit_wrote_may_be_anything(tree: Tree, wrote: Wrote) -> None:
    at = {"__REALTIME_TIMESTAMP": "1500000", "UNIT": UNIT}
    told = as_line(json.dumps({**at, "MESSAGE": [0xFF, 0x41]}).encode())
    assert told == {"at": 1.5, "unit": UNIT, "level": "info", "text": "\ufffdA"}
    told = as_line(json.dumps({**at, "MESSAGE": None, "PRIORITY": "3"}).encode())
    assert told is not None
    assert (told["level"], told["text"]) == ("err", "(too long for the journal)")
    wrote("x" * (LINE_LIMIT + 10))
    logs(tree)
    assert len(texts(tree)[0]) == LINE_LIMIT
