"""The demo's watchers: real Prometheus and Alertmanager, and a mail server that shows what arrives."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from sandbox.mail import Mail, MailSink
from sandbox.monitoring import SHIPPED_RULES, Monitoring, missing_program

SCRAPE = "5s"
"""Shipped: 15 s. Shorter, so that who tries it out waits for the minute that BotDown takes and for little more."""


class Watch:
    """Where the watchers listen; they start when the portal has made them a token."""

    rules = SHIPPED_RULES
    """What Prometheus alerts by; tests that cannot wait for minutes have them shortened."""

    def __init__(self, state: Path, portal_url: str) -> None:
        self.stack: Monitoring | None = None
        self.missing = missing_program()
        self.state = state
        self.mail: MailSink | None = None
        self._portal_url = portal_url
        self._ports = {"prometheus": _port(9090), "alertmanager": _port(9093)}
        self.prometheus_url = f"http://127.0.0.1:{self._ports['prometheus']}"
        self.alertmanager_url = f"http://127.0.0.1:{self._ports['alertmanager']}"

    @contextlib.contextmanager
    def running(self, token: str) -> Iterator[None]:
        """Mail sink, Alertmanager and Prometheus until the end of the block; nothing when they are not installed."""
        if self.missing:
            yield
            return
        with MailSink(directory=self.state / "mail", heard=_show) as self.mail:
            settings = {
                "portal": {"url": self._portal_url},
                "mail": {
                    "to": "operator@demo.invalid",
                    "from": "alerts@demo.invalid",
                    "smarthost": f"127.0.0.1:{self.mail.port}",
                    "require_tls": False,
                },
                "prometheus": {"interval": SCRAPE, "listen": f"127.0.0.1:{self._ports['prometheus']}"},
                "alertmanager": {"listen": f"127.0.0.1:{self._ports['alertmanager']}"},
                "waits": {"group_interval": "10s"},
            }
            secrets = {"monitoring-token": token}
            with Monitoring(self.state / "watch", settings, secrets, self.rules) as self.stack:
                yield


def _show(mail: Mail) -> None:
    print(f"        mail to {', '.join(mail.recipients)}: {mail.subject}", flush=True)


def _port(usual: int) -> int:
    """The usual port when it is free, else any."""
    for wanted in (usual, 0):
        with contextlib.suppress(OSError), contextlib.closing(socket.create_server(("127.0.0.1", wanted))) as probe:
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")
