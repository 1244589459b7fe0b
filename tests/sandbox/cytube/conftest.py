"""A server for each test, with a clock that the test moves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, ManualClock, ServerConfig, Viewer

Join = Callable[..., Awaitable[Viewer]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server(clock: ManualClock) -> AsyncIterator[CytubeServer]:
    """A server with quick logins and without limits per address."""
    async with CytubeServer(ServerConfig(clock=clock, login_cost=4)) as running:
        yield running


@pytest.fixture
async def join(server: CytubeServer) -> AsyncIterator[Join]:
    """Let somebody in; registered names of the default accounts log in with the sandbox password."""
    async with AsyncExitStack() as stack:

        async def enter(name: str = "", **options: str) -> Viewer:
            registered = any(account.name == name for account in server.config.accounts)
            viewer = await Viewer.join(
                server.url, "test-rosey", name, SANDBOX_PASSWORD if registered else None, **options
            )
            stack.push_async_callback(viewer.leave)
            return viewer

        yield enter


async def hears_nothing(viewer: Viewer, *events: str) -> bool:
    """Whether none of ``events`` is unread once the server has answered everything before.

    A login that is not an object is answered in every state, and answers keep their order.
    """
    await viewer.emit("login", "are you there?")
    await viewer.wait_for("errorMsg", lambda error: error["msg"] == "Invalid login frame")
    return not {each.event for each in viewer.unread} & set(events)
