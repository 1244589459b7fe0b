"""A CyTube-protocol server in a thread of this process."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sandbox.cytube.config import DEMO_MEDIA, Channel, ServerConfig
from sandbox.cytube.server import CytubeServer

CHANNELS = {"test": "test-rosey", "production": "rosey"}
"""Whose bot is in which room, by environment."""
Answer = TypeVar("Answer")


class CytubeThread:
    """The server with a room for each environment; use it as a context manager."""

    def __init__(self, address: str, port: int = 0) -> None:
        """Servers on `address` reach it there; this machine may control it."""
        channels = tuple(Channel(name, playlists={"demo": DEMO_MEDIA}) for name in CHANNELS.values())
        own = ("127.0.0.0/8", f"{address}/32")
        config = ServerConfig(host=address, port=port, channels=channels, media=DEMO_MEDIA, control_networks=own)
        self.server = CytubeServer(config)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="cytube", daemon=True)

    def __enter__(self) -> "CytubeThread":
        self._thread.start()
        self.run(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Answer], deadline: float = 60.0) -> Answer:
        """Do it in the server's thread and wait for it, so many seconds at most."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(deadline)

    def ask(self, question: Callable[[CytubeServer], Answer]) -> Answer:
        """Look at the server from its own thread, between two events."""

        async def asked() -> Answer:
            return question(self.server)

        return self.run(asked())

    async def _end(self) -> None:
        await self.server.stop()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
