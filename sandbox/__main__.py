"""`python -m sandbox hosts|cytube|mail|load|soak|demo …`: the outside world, from a shell."""

from __future__ import annotations

import importlib
import sys

PARTS = {
    "hosts": "real Debian 12 servers with ssh and systemd, and their faults",
    "cytube": "a server that speaks the CyTube protocol",
    "mail": "a mail server that keeps what it is sent",
    "load": "life in the room of a bot: a crowd, floods, raids, and every chat command with its right answer",
    "soak": "a bot's day with faults and changes, in a day or compressed, and a report of it",
    "demo": "all of it, with the portal and the bot deployed, until Ctrl-C",
}


def usage() -> str:
    """What can be asked for."""
    lines = [f"  {part:<7} {what}" for part, what in PARTS.items()]
    return "\n".join(
        ["usage: python -m sandbox PART …", "", *lines, "", "`python -m sandbox PART --help` tells the rest."]
    )


def main(argv: list[str]) -> int:
    """Hand over to the part; the exit code. 2 when there is no such part."""
    if argv[:1] in (["-h"], ["--help"]):
        print(usage())
        return 0
    if not argv or argv[0] not in PARTS:
        print(usage() if not argv else f"The sandbox has no part {argv[0]!r}.\n\n{usage()}", file=sys.stderr)
        return 2
    part = importlib.import_module(f"sandbox.{argv[0]}.cli")
    code = part.main(argv[1:])
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
