"""``python -m sandbox cytube``: a CyTube-protocol server until it is interrupted."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from sandbox.cytube.config import DEFAULT_ACCOUNTS, DEMO_MEDIA, Account, AddressLimits, Channel, ServerConfig
from sandbox.cytube.server import CytubeServer


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox cytube",
        description="A server that speaks the CyTube protocol, for the demo and for tests. It stores nothing.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on, 0 for any (default %(default)s)")
    parser.add_argument(
        "--channel", action="append", metavar="NAME", help="registered channel, may be repeated (default test-rosey)"
    )
    parser.add_argument(
        "--channel-password-file", type=Path, metavar="FILE", help="file whose first line is the channels' password"
    )
    parser.add_argument(
        "--accounts",
        type=Path,
        metavar="FILE",
        help='JSON list of {"name", "password", "rank"}; without it the published sandbox accounts',
    )
    parser.add_argument("--address-limits", action="store_true", help="limit connections and guests per IP address")
    parser.add_argument(
        "--lost-join-ms",
        type=float,
        default=0.0,
        help="lose a join this soon after its channel was emptied (default 0)",
    )
    parser.add_argument(
        "--control-network",
        action="append",
        metavar="CIDR",
        help="who may use /_sandbox/, may be repeated (default loopback)",
    )
    return parser


def _accounts(path: Path | None) -> tuple[Account, ...]:
    if path is None:
        return DEFAULT_ACCOUNTS
    listed = json.loads(path.read_text(encoding="utf-8"))
    return tuple(Account(each["name"], each["password"], rank=each.get("rank", 1)) for each in listed)


def _config(options: argparse.Namespace) -> ServerConfig:
    password = ""
    if options.channel_password_file is not None:
        password = options.channel_password_file.read_text(encoding="utf-8").split("\n", 1)[0]
    return ServerConfig(
        host=options.host,
        port=options.port,
        channels=tuple(
            Channel(name, password=password, playlists={"demo": DEMO_MEDIA})
            for name in options.channel or ["test-rosey"]
        ),
        accounts=_accounts(options.accounts),
        media=DEMO_MEDIA,
        address_limits=AddressLimits() if options.address_limits else None,
        lost_join_window=options.lost_join_ms / 1000,
        control_networks=tuple(options.control_network or ServerConfig().control_networks),
    )


async def _serve(server: CytubeServer) -> None:
    loop, finished = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, finished.set)
    async with server:
        channels = ", ".join(channel.name for channel in server.config.channels)
        print(f"CyTube sandbox on {server.url}, channels: {channels}", flush=True)
        await finished.wait()


def main(argv: list[str]) -> int:
    """Serve until SIGINT or SIGTERM. 0 then; 1 when the port is taken, 2 for wrong usage."""
    options = _parser().parse_args(argv)
    try:
        server = CytubeServer(_config(options))
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        print(f"The sandbox server cannot use its configuration: {wrong!r}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_serve(server))
    except OSError as taken:
        print(f"The sandbox server cannot listen on {options.host}:{options.port}: {taken}", file=sys.stderr)
        return 1
    return 0
