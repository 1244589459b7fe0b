"""An agent that only says that it lives is not listened to for ever."""

import time
from collections.abc import Iterator
from typing import cast

import pytest

from engine.remote.client import AgentClient
from engine.remote.result import Record
from engine.ssh.address import Address
from engine.ssh.conversation import Conversation
from engine.ssh.errors import RemoteDeadline
from engine.ssh.keys import HostKey
from engine.ssh.session import Session
from tests.engine.ssh.test_output_limits import Said
from tests.fixtures.records import HOST_KEY

ALIVE = b'{"kind":"alive"}\n'
STEP = b'{"kind":"step","seq":1,"step":"stage","state":"begin"}\n'


class Deaf(Said):
    """Nobody listens at its other end, and there is no channel to close."""

    def send(self, chunks: object) -> None:
        """Into nothing."""

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class Stub:
    """A session whose server says these lines, twenty in a second."""

    address = Address("web-01", 22, "rosey", HostKey.parse(HOST_KEY))

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def converse(self, command: object, *, what: str) -> Conversation:
        def slowly() -> Iterator[bytes]:
            for line in self._lines:
                time.sleep(0.05)
                yield line

        return Deaf(slowly())


def hear(lines: Iterator[bytes], still: float) -> list[Record]:
    client, heard = AgentClient(cast(Session, Stub(lines)), "dice-bot"), list[Record]()
    client._talk("run", lambda: (), lambda record, _: heard.append(record), 60.0, still=still)
    return heard


def test_signs_of_life_alone_are_no_progress() -> None:
    began = time.monotonic()
    with pytest.raises(RemoteDeadline, match=r"web-01 said nothing for 0\.5 s but that it lives"):
        hear((ALIVE for _ in range(10_000)), still=0.5)
    assert time.monotonic() - began < 30


def test_whoever_goes_on_is_heard_to_the_end() -> None:
    steps = [line for _ in range(6) for line in (ALIVE, ALIVE, ALIVE, STEP)]
    result = b'{"kind":"result","seq":9,"status":"succeeded","reason":"verified","sentence":"x"}\n'
    assert len(hear(iter([*steps, result]), still=0.5)) == 6
