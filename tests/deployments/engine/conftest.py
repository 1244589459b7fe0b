"""What tests of the engine share."""

import pytest

from deployments.ssh.conversation import Conversation
from deployments.ssh.session import Session


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead line is given up after two of the agent's signs of life, and not after five."""
    monkeypatch.setitem(Conversation.lines.__kwdefaults__, "silence", 7.0)
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "connect_timeout", 4.0)
