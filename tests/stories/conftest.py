"""What tests of the engine share."""

import pytest

from engine.ssh.conversation import Conversation
from engine.ssh.session import Session


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead line is given up after two of the agent's signs of life, and not after five."""
    for function, name, seconds in ((Conversation.lines, "silence", 7.0), (Session.__init__, "connect_timeout", 4.0)):
        defaults = function.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, name, seconds)
