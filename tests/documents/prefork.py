"""Management commands without what each process needs to begin: one that has loaded everything forks for each.

`python prefork.py serve SOCKET` is that process, `python prefork.py SOCKET ARG…` hands over this process's directory,
arguments and standard streams to a fork of it, and ends with its exit code. What runs is `portal.__main__.main`, as
`./manage.py` would.
"""

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path


def ask(path: str, arguments: list[str]) -> int:
    """Have it carried out; the exit code."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        told = json.dumps({"argv": ["./manage.py", *arguments], "cwd": str(Path.cwd())}).encode()
        streams = array.array("i", [0, 1, 2])
        line.sendmsg([told], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        return int(line.recv(16) or b"125")


def serve(path: str) -> None:
    """Fork for whoever asks, until killed."""
    sys.path.insert(0, str(Path.cwd()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django
    from django.core.management import get_commands, load_command_class

    django.setup()
    for name, application in get_commands().items():
        if isinstance(application, str) and not application.startswith("django"):
            load_command_class(application, name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            line, _ = door.accept()
            told, streams, _, _ = socket.recv_fds(line, 65536, 3)
            if os.fork() == 0:
                door.close()
                _carry_out(line, json.loads(told), streams)
            line.close()
            for stream in streams:
                os.close(stream)


def _carry_out(line: socket.socket, told: dict[str, object], streams: list[int]) -> None:
    """In the fork, which ends here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(str(told["cwd"]))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
    sys.argv = list(told["argv"])  # type: ignore[call-overload]  # a list of str, as `ask` wrote it
    code = 1
    try:
        from portal.__main__ import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - shown as Python does; the process ends
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    line.sendall(str(code).encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
