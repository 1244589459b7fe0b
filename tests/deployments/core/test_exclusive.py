"""Of several at once one goes first, on every database."""

import threading
from contextlib import suppress

import pytest
from django.db import connection

from deployments.core.exclusive import exclusively


@pytest.mark.django_db(transaction=True)
def test_whoever_comes_second_waits_for_the_first(state_dir: object) -> None:
    entered, order = threading.Event(), []

    def second() -> None:
        entered.set()
        with exclusively("one"):
            order.append("second")
        connection.close()

    thread = threading.Thread(target=second)
    with suppress(LookupError), exclusively("one"):
        thread.start()
        entered.wait(30)
        thread.join(0.2)  # as long as it takes to overtake, were nothing in the way
        order.append("first")
        raise LookupError("whoever fails lets go, too")
    thread.join(60)
    assert order == ["first", "second"]
    with exclusively("one"):
        pass
