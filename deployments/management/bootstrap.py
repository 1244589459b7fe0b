"""The account that may become root on a server: the options for it, and its key, which is not stored."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from engine.errors import InvalidRequest
from engine.ssh.keys import PrivateKey


def bootstrap_arguments(parser: ArgumentParser) -> None:
    """`--bootstrap-user` and `--bootstrap-key`."""
    parser.add_argument("--bootstrap-user", default="root", help="root, or an account with sudo (default: root)")
    parser.add_argument(
        "--bootstrap-key",
        type=Path,
        default=Path("~/.ssh/id_ed25519"),
        help="its private key, without a passphrase (default: ~/.ssh/id_ed25519); it is not stored",
    )


def bootstrap_key(options: dict[str, Any]) -> PrivateKey:
    """The private key that was named. Raises InvalidRequest, UnusableKey."""
    path = options["bootstrap_key"].expanduser()
    try:
        return PrivateKey(path.read_text())
    except OSError as error:
        raise InvalidRequest(
            f"The bootstrap key {path} cannot be read ({error.strerror}).", hint="Name it with --bootstrap-key."
        ) from error
