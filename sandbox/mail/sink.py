"""A mail server that keeps what it is sent."""

import asyncio
import email
import email.policy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from sandbox.mail.arrivals import Arrivals, Folder, NotListening

#: Largest message in bytes.
LARGEST = 10_000_000
#: Seconds that starting and stopping the server's thread may take.
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Mail:
    """One message. ``arrived`` is in seconds since the epoch; ``file`` is where it was written, if anywhere."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    arrived: float
    message: EmailMessage = field(repr=False)
    file: Path | None = None


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        content = str(part.get_content())
    except (LookupError, ValueError):  # a charset that nobody knows: the message is kept all the same
        content = bytes(part.get_payload(decode=True)).decode(errors="replace")
    return content.replace("\r\n", "\n")


class MailSink:
    """An SMTP server on a thread of its own. It accepts every message for everybody and delivers none.

    Messages are in :attr:`messages` and, with a ``directory``, in one .eml file each. ``port`` 0 takes any free one.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        directory: Path | None = None,
        now: Callable[[], float] = time.time,
        heard: Callable[[Mail], None] | None = None,
    ) -> None:
        self.host = host
        self._wanted = port
        self._port = 0
        self._now = now
        self._heard = heard
        self._folder = Folder(directory)
        self._arrivals: Arrivals[Mail] = Arrivals("mail")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None

    def __enter__(self) -> "MailSink":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on. Raises NotListening."""
        if self._server is None:
            raise NotListening("The mail sink is not running.", hint="Call start() first.")
        return self._port

    @property
    def messages(self) -> list[Mail]:
        """What has arrived, oldest first."""
        return self._arrivals.all()

    def wait_for(self, predicate: Callable[[Mail], bool], deadline: float = 60.0) -> Mail:
        """The first message that satisfies ``predicate``, arrived already or within ``deadline`` seconds.

        Raises NothingArrived.
        """
        return self._arrivals.wait_for(predicate, deadline)

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        if self._server is not None:
            return
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="mail-sink", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            self._server = asyncio.run_coroutine_threadsafe(self._listen(loop), loop).result(TIMEOUT)
        except BaseException:
            self._end_thread()
            raise
        self._port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening; what has arrived stays."""
        if self._server is None or self._loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(self._server), self._loop).result(TIMEOUT)
        self._server = None
        self._end_thread()

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        """Called by aiosmtpd for every message."""
        content: bytes = envelope.original_content or b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101 - the default policy makes no other
        subject = str(message["Subject"] or "")
        mail = Mail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            subject=subject,
            text=_body(message, "plain"),
            html=_body(message, "html"),
            arrived=self._now(),
            message=message,
            file=self._folder.write(subject, ".eml", content),
        )
        self._arrivals.add(mail)
        if self._heard is not None:
            self._heard(mail)
        return "250 Message accepted and kept"

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        def protocol() -> SMTP:
            return SMTP(self, loop=loop, hostname="sandbox", data_size_limit=LARGEST, enable_SMTPUTF8=True)

        return await loop.create_server(protocol, self.host, self._wanted)

    @staticmethod
    async def _close(server: asyncio.Server) -> None:
        server.close()
        await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _end_thread(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(TIMEOUT)
            self._loop.close()
        self._loop = self._thread = None
