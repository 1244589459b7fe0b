"""Running management commands in this process."""

import io

from django.core.management import CommandError, call_command


def exit_code(*argv: str, out: io.StringIO | None = None, err: io.StringIO | None = None) -> int:
    """What the command would end with."""
    try:
        call_command(*argv, stdout=out or io.StringIO(), stderr=err or io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0)
    except CommandError as error:
        return error.returncode
    return 0
