"""The command line: `python -m botcore --config FILE [--check [--login]]`.

Exit status: 0 after a clean stop or a good check, 1 when the bot or a check failed, 2 for wrong usage, 78 when the
settings cannot be used (EX_CONFIG; systemd does not restart after it).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from botcore.telemetry import Telemetry

if TYPE_CHECKING:
    from botcore.bot import Bot
    from botcore.config import Settings
    from botcore.credentials import Credentials
    from botcore.logs import Logs

log = logging.getLogger("botcore")

EXIT_CONFIG = 78


def main(argv: list[str] | None = None) -> int:
    """Run the bot, or check its settings."""
    telemetry = Telemetry()
    gc.disable()  # nothing of what is imported now is garbage; looking for some takes an eighth of the start
    arguments = _parser().parse_args(argv)
    if arguments.commands:
        from botcore.commands import REGISTRY

        sys.stdout.write(REGISTRY.document())
        return 0
    if arguments.config is None or (arguments.login and not arguments.check):
        _parser().print_usage(sys.stderr)
        return 2
    from botcore import config, credentials
    from botcore.errors import ConfigError

    try:
        settings = config.load(arguments.config)
        found = credentials.find(settings)
        lacking = credentials.missing(settings, found)
        if arguments.check:
            return _check(settings, found, lacking, login=arguments.login)
        if lacking:
            raise ConfigError([lacking])
        return _run(arguments.config, settings, found, telemetry)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"<3>{problem}\n" if _journal() else f"{problem}\n")
        return EXIT_CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m botcore", description="The CyTube bot.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON file with the settings")
    parser.add_argument("--check", action="store_true", help="check the settings and exit")
    parser.add_argument("--login", action="store_true", help="with --check: also sign in and leave")
    parser.add_argument("--commands", action="store_true", help="print the page about the chat commands and exit")
    return parser


def _check(settings: Settings, found: Credentials, lacking: str | None, *, login: bool) -> int:
    for warning in settings.warnings():
        sys.stdout.write(f"warning: {warning}\n")
    if lacking:
        sys.stdout.write(f"{'error' if login else 'warning'}: {lacking}\n")
        if login:
            return 1
    if login:
        from botcore.cytube.login_check import try_login
        from botcore.errors import BotError

        try:
            asyncio.run(try_login(settings, found))
        except BotError as error:
            sys.stdout.write(f"error: {error.sentence()}\n")
            return 1
        sys.stdout.write(f"{settings.user.name} can enter {settings.channel.name}.\n")
    sys.stdout.write("The settings are good.\n")
    return 0


def _run(path: Path, settings: Settings, found: Credentials, telemetry: Telemetry) -> int:
    from botcore.logs import Logs

    logs = Logs(settings)
    try:
        return asyncio.run(_serve(path, settings, found, telemetry, logs))
    finally:
        logs.close()


async def _serve(path: Path, settings: Settings, found: Credentials, telemetry: Telemetry, logs: Logs) -> int:
    from botcore.bot import Bot
    from botcore.errors import PortUnusable
    from botcore.health.server import HealthServer
    from botcore.service import Service

    service = Service()
    bot = Bot(settings, found, telemetry=telemetry, service=service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bot.stop)
    loop.add_signal_handler(signal.SIGHUP, _reload, path, bot, logs)
    try:
        HealthServer(settings.health.host, settings.health.port, bot.snapshot)
    except PortUnusable as error:
        log.error(error.sentence())  # noqa: TRY400  the sentence is enough
        return 1
    service.ready()
    gc.freeze()
    gc.enable()
    for warning in settings.warnings():
        log.warning(warning)
    await bot.run()
    return 0


def _reload(path: Path, bot: Bot, logs: Logs) -> None:
    """SIGHUP: read the settings and secrets again; when they are wrong, say so and go on with the old ones."""
    from botcore import config, credentials
    from botcore.errors import ConfigError

    try:
        settings = config.load(path)
        found = credentials.find(settings)
        if lacking := credentials.missing(settings, found):
            raise ConfigError([lacking])
    except ConfigError as error:
        log.error("The settings were not reloaded: %s", error)  # noqa: TRY400  the sentence is enough
        return
    logs.level(settings.log_level)
    bot.reload(settings, found)
    log.info("settings reloaded")


def _journal() -> bool:
    return "JOURNAL_STREAM" in os.environ


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and closed. Taking the interpreter apart would add 0.16 s to every restart.
    os._exit(status)
