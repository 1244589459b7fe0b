"""Other programs: started with a mark, waited for, and gone when their run is over."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import Any, Callable, Dict, List, Tuple

from .files import read_bytes
from .limits import LINE_LIMIT, OUTPUT_LIMIT, PATH, TOOL_TIMEOUT


def process_start(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it names one process for good."""
    try:
        return read_bytes("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[19].decode()
    except (OSError, IndexError):
        return ""


def same_process(pid: Any, started: Any) -> bool:
    """Whether a pid still is the process it was noted for."""
    return isinstance(pid, int) and pid > 1 and bool(started) and process_start(pid) == started


def environment(deployment: str, root: str) -> Dict[str, str]:
    """What a program of a run gets: nothing of ours but a place to run in, and marks by which it is found again.

    Numbers of deployments are a portal's own: the tree tells two portals on one server, and two applications, apart.
    """
    return {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONDONTWRITEBYTECODE": "1",  # a check of the release must leave nothing in it
        "DEPLOYMENT_RUN": deployment,
        "DEPLOYMENT_TREE": root,
    }


def marked_processes(deployment: str, root: str) -> List[int]:
    """Every process that a step of this deployment started, and what those started, as far as they are our user's.

    One that names no tree was started by an agent of before, which wrote none.
    """
    run, tree = (b"DEPLOYMENT_%s=%s" % (b, os.fsencode(value)) for b, value in ((b"RUN", deployment), (b"TREE", root)))
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            marks = read_bytes("/proc/%s/environ" % name).split(b"\0")
        except OSError:
            continue
        if run in marks and (tree in marks or not any(mark.startswith(b"DEPLOYMENT_TREE=") for mark in marks)):
            found.append(int(name))
    return found


def sweep(deployment: str, root: str, timeout: float = 5.0) -> Dict[str, int]:
    """Kill what is left of a run's steps and prove that it is gone: how many there were, how many are left."""
    seen: set[int] = set()
    ends = time.monotonic() + timeout
    while True:
        alive = marked_processes(deployment, root)
        if not alive or time.monotonic() > ends:
            return {"killed": len(seen - set(alive)), "left": len(alive)}
        for pid in alive:
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)


def kill_and_reap(pid: int) -> None:
    """End a child of ours for good."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


class Tools:
    """Runs other programs: argument lists, a marked environment, their own session so that they can be killed whole."""

    def __init__(self, deployment: str, root: str) -> None:
        self._marks = deployment, root

    def start(self, argv: List[str], cwd: str = "/", merge: bool = True, feeding: bool = False) -> Any:
        """Begin a program and do not wait; its output goes to a pipe, with `feeding` its input too.

        Errors are part of the output; without `merge` they go to a pipe of their own where it is fed, else nowhere.
        """
        import subprocess

        apart = subprocess.PIPE if feeding else subprocess.DEVNULL
        return subprocess.Popen(
            argv,
            stdin=apart,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else apart,
            cwd=cwd,
            env=environment(*self._marks),
            start_new_session=True,
        )

    @staticmethod
    def finish(process: Any, timeout: float = TOOL_TIMEOUT) -> Tuple[int, str]:
        """Exit code and output. A program that overstays is left to `sweep` and counts as failed (code 124)."""
        import subprocess

        ends, output = time.monotonic() + timeout, b""
        while select.select([process.stdout], [], [], max(0.0, ends - time.monotonic()))[0]:
            block = os.read(process.stdout.fileno(), 1 << 16)
            if len(output) < OUTPUT_LIMIT:
                output += block
            if not block:
                break
        process.stdout.close()
        try:
            code = process.wait(timeout=max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            try:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=1.0)
            except (OSError, subprocess.TimeoutExpired):
                pass
            return 124, "no answer within %d s" % timeout
        return int(code), output.decode(errors="replace").strip()

    @classmethod
    def tell(cls, process: Any, timeout: float) -> Tuple[int, str]:
        """Have a program that waits go on, to its end: exit code and output, none when it has ended before."""
        cls._tell(process)
        return cls.finish(process, timeout)

    @staticmethod
    def _tell(process: Any) -> None:
        try:
            process.stdin.write(b"\n")
            process.stdin.close()
        except OSError:  # it has ended; what it said, if anything, is there all the same
            pass

    def call(self, argv: List[str], timeout: float = TOOL_TIMEOUT, cwd: str = "/") -> Tuple[int, str]:
        """Run a short program to its end: exit code and output."""
        return self.finish(self.start(argv, cwd), timeout)

    def logged(self, argv: List[str], cwd: str, log: Callable[[str], None]) -> int:
        """Run to its end, each line to `log`; the step's deadline is the supervisor's business."""
        return self._follow(self.start(argv, cwd), log)

    def tell_logged(self, process: Any, log: Callable[[str], None]) -> int:
        """Have a program that waits go on, to its end, each line to `log`."""
        self._tell(process)
        return self._follow(process, log)

    @staticmethod
    def _follow(process: Any, log: Callable[[str], None]) -> int:
        for line in iter(lambda: process.stdout.readline(4 * LINE_LIMIT), b""):  # an endless line comes in pieces
            log(line.decode(errors="replace").rstrip())
        process.stdout.close()
        return int(process.wait())


def wait_exit(pid: int, ends: float) -> bool:
    """Until a process that is not ours to wait for has ended."""
    if pid <= 1:
        return True
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except (OSError, AttributeError):
        while os.path.exists("/proc/%d" % pid):
            if time.monotonic() > ends:
                return False
            time.sleep(0.02)
        return True
    try:
        return bool(select.select([fd], [], [], max(0.0, ends - time.monotonic()))[0])
    finally:
        os.close(fd)
