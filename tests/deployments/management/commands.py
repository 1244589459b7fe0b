"""Running management commands in this process."""

import io

from django.core.management import CommandError, call_command


def exit_code(*argv: str, out: io.StringIO | None = None, err: io.StringIO | None = None) -> int:
    """What the command would end with; a refusal's sentence goes to `err`, as on a command line."""
    err = err or io.StringIO()
    try:
        call_command(*argv, stdout=out or io.StringIO(), stderr=err)
    except SystemExit as ended:
        return int(ended.code or 0)
    except CommandError as error:
        err.write(str(error))
        return error.returncode
    return 0
