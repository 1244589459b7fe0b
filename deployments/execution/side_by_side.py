"""Working on several servers at the same time, in threads: which ones, the snapshot says (`Snapshot.rounds`)."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import connection

T = TypeVar("T")
_BESIDE_OTHERS = threading.local()


def let_the_database_go() -> None:
    """Before a long wait: one of many threads keeps no connection, of which a database may have only a hundred."""
    if getattr(_BESIDE_OTHERS, "here", False) and not connection.in_atomic_block:
        connection.close()


def side_by_side(acts: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of them at the same time, and wait for all: what each returned. Raises what the first of them raised."""
    if len(acts) == 1:
        return [acts[0]()]
    returned: dict[int, T] = {}
    raised: dict[int, BaseException] = {}

    def do(number: int) -> None:
        _BESIDE_OTHERS.here = True
        try:
            returned[number] = acts[number]()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            raised[number] = error
        finally:
            connection.close()  # each thread has one of its own

    threads = [threading.Thread(target=do, args=(number,), daemon=True) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in sorted(raised):
        raise raised[number]
    return [returned[number] for number in range(len(acts))]
