"""What a server's record says of what runs there once a deployment has ended."""

import pytest

from deployments.execution.finish import service_of
from deployments.models import Server
from engine.artifacts.deploy_toml import Health

ASKED = Health(url="http://127.0.0.1:8000/")
CONNECTED = Health(url="http://127.0.0.1:8000/", connected="connected")


@pytest.mark.parametrize(
    ("health", "identity", "service"),
    [
        (None, None, Server.Service.UNASKED),
        (ASKED, None, Server.Service.ASKED),
        (CONNECTED, None, Server.Service.BOT),
        (None, ["cytu.be", "rosey"], Server.Service.BOT),
        (ASKED, ["cytu.be", "rosey"], Server.Service.BOT),
        (ASKED, [], Server.Service.BOT),
    ],
)
def test_a_bot_signs_in_somewhere_or_says_whether_it_is_connected(
    health: Health | None, identity: list[str] | None, service: Server.Service
) -> None:
    assert service_of(health, identity) == service
