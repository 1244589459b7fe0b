"""A management command as somebody on the shell sees it: its exit code and everything it says."""

import io

from tests.deployments.management.commands import exit_code


def said(*arguments: str) -> tuple[int, str]:
    """What it ends with, and its two outputs."""
    out = io.StringIO()
    code = exit_code(*arguments, out=out, err=out)
    return code, out.getvalue()
