"""Threads that format tracebacks at once do not end a run of pytest, whatever Python this is."""

import threading
import traceback

ROUNDS = 300
NOTHING: dict[str, dict[str, object]] = {}


def fail(depth: int) -> object:
    """With marks below what failed, which is what `traceback` parses."""
    return NOTHING["a"]["b"] if depth == 0 else [fail(depth - 1)][0]


def test_tracebacks_are_formatted_in_several_threads_at_once() -> None:
    said: list[str] = []

    def format_many() -> None:
        for _ in range(ROUNDS):
            try:
                fail(10)
            except KeyError:
                try:
                    traceback.format_exc()
                except SystemError as error:
                    said.append(str(error))

    threads = [threading.Thread(target=format_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == []
