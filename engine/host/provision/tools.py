"""Other programs, as root calls them: by their arguments, with nothing of the caller's environment."""

from __future__ import annotations

import subprocess
from typing import List, Tuple

from .paths import Refused

TOOL_TIMEOUT = 120.0  # s for any program but apt
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
}


def call(argv: List[str], timeout: float = TOOL_TIMEOUT) -> Tuple[int, str]:
    """Exit code and output of a program; 127 when it is not installed, 124 when it takes too long."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return 127, "%s is not installed" % argv[0]
    except subprocess.TimeoutExpired:
        return 124, "%s did not end within %d s" % (argv[0], timeout)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def must(argv: List[str], timeout: float = TOOL_TIMEOUT) -> str:
    """The output of a program that has to succeed. Raises Refused with what it said."""
    code, output = call(argv, timeout)
    if code != 0:
        raise Refused("'%s' failed: %s" % (" ".join(argv), output[-500:] or "exit code %d" % code))
    return output
