"""`python -m sandbox hosts …`: hosts that stay until they are taken down.

Exit codes: 0 done, 1 failed, 2 wrong usage or hosts cannot boot on this machine; `ssh` and `root` end with the remote
program's own.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from . import image
from .availability import unavailable_reason
from .cable import ensure_program
from .errors import HostsError, Unavailable
from .host import Host
from .hostset import HostSet

DEFAULT_SET = "default"

EPILOG = """\
examples:
  python -m sandbox hosts up 2              two hosts; the first time an image is built, about a minute
  python -m sandbox hosts ssh 1 hostname    over ssh, as root
  python -m sandbox hosts latency 50 1      50 ms round trip to host 1
  python -m sandbox hosts link down 2       pull the cable of host 2
  python -m sandbox hosts disk 30M 1        /opt/rosey-bot on host 1 has 30 MB in all; `disk off 1` gives room again
  python -m sandbox hosts power off 1       cut the power; `power on 1` boots the same disk
  python -m sandbox hosts down              take everything down
"""


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    top = argparse.ArgumentParser(
        prog="python -m sandbox hosts",
        description="Real Debian 12 servers on this machine: systemd, sshd, and faults on demand. Needs root on Linux.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--set", default=DEFAULT_SET, metavar="NAME", help="which set of hosts (default: %(default)s)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, run: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    up = add("up", "boot hosts 1 to N, those that are not on yet", _up)
    up.add_argument("count", type=int, metavar="N")
    down = add("down", "take the set down, with everything on it", _down)
    down.add_argument("--all", action="store_true", help="every set that is detached, and what dead ones left")
    add("status", "address, systemd's state and the cable of every host", _status)
    for name, text in (("ssh", "over ssh, as root with the set's key"), ("root", "inside as root, without ssh")):
        remote = add(name, f"run a command {text}; without one, a shell", _ssh if name == "ssh" else _root)
        remote.add_argument("host", type=int, metavar="I")
        remote.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD…")
    _faults(add)
    add("base", "build the Debian image now, unless it is there", _base)
    return top


def _faults(add: Callable[[str, str, Callable[[argparse.Namespace], int | None]], argparse.ArgumentParser]) -> None:
    for name, unit, text in (
        ("latency", "MS", "milliseconds of round trip; 0 takes it away"),
        ("loss", "PCT", "percent of frames lost each way; 100 is a black hole"),
        ("rate", "KBIT", "kilobits per second each way; 0 for no limit"),
        ("clear", "", "no latency, no loss, no limit"),
    ):
        fault = add(name, text, _shape)
        if unit:
            fault.add_argument("value", type=float, metavar=unit)
        fault.add_argument("hosts", type=int, nargs="*", metavar="I", help="which hosts (default: all)")
    disk = add("disk", "a small disk under /opt/rosey-bot, or room again", _disk)
    disk.add_argument("size", metavar="SIZE|off", help="30M, 1G …: all that fits; `off` gives room again")
    disk.add_argument("host", type=int, metavar="I")
    for name, states, text, run in (
        ("link", ("up", "down"), "the network cable in, or out", _link),
        ("power", ("on", "off"), "boot the same disk again, or cut the power", _power),
    ):
        switch = add(name, text, run)
        switch.add_argument("state", choices=states)
        switch.add_argument("host", type=int, metavar="I")
    for name, text in (("off", "cut the power"), ("on", "boot the same disk again")):
        short = add(name, f"{text}: short for `power {name}`", _power)
        short.set_defaults(state=name)
        short.add_argument("host", type=int, metavar="I")


def main(argv: Sequence[str]) -> int:
    """Do what the arguments ask for; the exit code."""
    arguments = parser().parse_args(list(argv))
    log = logging.getLogger("sandbox.hosts")
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        return arguments.run(arguments) or 0
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    except HostsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what had begun was taken down.", file=sys.stderr)
        return 1
    finally:
        log.removeHandler(handler)


def _possible() -> None:
    reason = unavailable_reason()
    if reason is not None:
        raise Unavailable(reason)


def _attach(arguments: argparse.Namespace) -> HostSet:
    _possible()
    return HostSet.attach(arguments.set)


def _chosen(arguments: argparse.Namespace) -> list[Host]:
    hosts = _attach(arguments)
    return [hosts.host(number) for number in arguments.hosts] or hosts.hosts


def _up(arguments: argparse.Namespace) -> None:
    _possible()
    exists = arguments.set in HostSet.names()
    hosts = HostSet.attach(arguments.set) if exists else HostSet(arguments.set, detached=True)
    for host in hosts.up(arguments.count):
        print(f"{host.name}  {host.address}  {host.fingerprint}")
    print(f"key of root: {hosts.bootstrap_key}   this machine: {hosts.gateway}")


def _down(arguments: argparse.Namespace) -> None:
    _possible()
    if not arguments.all:
        _attach(arguments).down()
        print(f"{arguments.set} is down")
        return
    for name in HostSet.sweep():
        print(f"{name}, whose owner was gone, is down")
    for hosts in (HostSet.attach(name) for name in HostSet.names()):
        if hosts.record.owner:
            print(f"{hosts.name} belongs to process {hosts.record.owner.split()[0]}, which is alive: left alone")
        else:
            hosts.down()
            print(f"{hosts.name} is down")


def _status(arguments: argparse.Namespace) -> None:
    hosts = _attach(arguments)
    for host in hosts.hosts:
        state = "no power"
        if host.on:
            state = host.root(["systemctl", "is-system-running"], check=False).stdout.decode().strip()
        print(f"{host.name}  {host.address}  {state}  {host.machine.cable.profile}")


def _become(argv: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is meant: the remote program's exit code and signals become ours


def _ssh(arguments: argparse.Namespace) -> None:
    _become(_attach(arguments).host(arguments.host).ssh_command(*arguments.argv))


def _root(arguments: argparse.Namespace) -> None:
    _become(_attach(arguments).host(arguments.host).root_command(arguments.argv or ["bash", "--login"]))


def _shape(arguments: argparse.Namespace) -> None:
    for host in _chosen(arguments):
        if arguments.command == "clear":
            host.clear()
        else:
            {"latency": host.latency, "loss": host.loss, "rate": host.rate}[arguments.command](arguments.value)


def _link(arguments: argparse.Namespace) -> None:
    _attach(arguments).host(arguments.host).link(arguments.state == "up")


def _disk(arguments: argparse.Namespace) -> None:
    host = _attach(arguments).host(arguments.host)
    if arguments.size == "off":
        host.disk_off()
    else:
        host.disk(arguments.size)


def _power(arguments: argparse.Namespace) -> None:
    host = _attach(arguments).host(arguments.host)
    if arguments.state == "off":
        host.power_off()
    else:
        host.power_on()


def _base(_: argparse.Namespace) -> None:
    _possible()
    image.ensure_image()
    ensure_program()
    print("The Debian image is there.")
