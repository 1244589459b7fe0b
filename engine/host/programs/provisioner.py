"""Run the provisioning interpreter: its size in a line of standard input, then its text; the rest is its own.

Nothing at all on standard input is nothing to do: whoever asks wants to know whether this could be run.
"""

import sys

size = int(sys.stdin.buffer.readline() or 0)
exec(compile(sys.stdin.buffer.read(size), "provision.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - what it is for
