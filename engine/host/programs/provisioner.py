"""Run the provisioning interpreter: its size in a line of standard input, then its text; the rest is its own."""

import sys

size = int(sys.stdin.buffer.readline())
exec(compile(sys.stdin.buffer.read(size), "provision.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - what it is for
