"""Where commands find a backup's passphrase: in a file or the environment, never among the arguments."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.models.encryption import SecretText
from engine.errors import InvalidRequest

VARIABLE = "PORTAL_BACKUP_PASSPHRASE"


def add_argument(parser: ArgumentParser) -> None:
    """`--passphrase-file`."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        help=f"file with the passphrase, - for standard input (default: {VARIABLE}[_FILE])",
    )


def read(options: dict[str, Any]) -> SecretText:
    """The passphrase. Raises InvalidRequest when there is none, or its file cannot be read."""
    if options["passphrase_file"] == Path("-"):
        return SecretText(sys.stdin.read().strip())
    path = options["passphrase_file"] or os.environ.get(f"{VARIABLE}_FILE", "")
    if path:
        try:
            return SecretText(Path(path).read_text().strip())
        except OSError as error:
            raise InvalidRequest(f"The passphrase file {path} cannot be read: {error.strerror}.") from error
    if text := os.environ.get(VARIABLE, ""):
        return SecretText(text)
    raise InvalidRequest(
        "A backup needs a passphrase.",
        hint=f"Write one into a file and name it with --passphrase-file, or set {VARIABLE}_FILE.",
        reason="no_passphrase",
    )
