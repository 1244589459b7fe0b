"""`python -m tests.postgres COMMAND…`: run a command with a PostgreSQL server of its own in DATABASE_URL.

The server listens on a socket in a temporary directory, trusts nobody else's, and is gone afterwards, however the
command ended. Exit code: the command's; 77 when there is no PostgreSQL on this machine.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEFT_OUT = 77
SETTINGS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=150")


def programs() -> Path | None:
    """The directory of initdb and pg_ctl of the newest PostgreSQL, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def unavailable_reason() -> str | None:
    """Why no server can be started here, in a sentence; None when one can."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian: postgresql)."
    if os.geteuid() == 0 and _postgres_user() is None:
        return "PostgreSQL does not run as root, and there is no user postgres."
    return None


@contextmanager
def server() -> Iterator[str]:
    """A fresh server; yields its DATABASE_URL."""
    bin_directory = programs()
    if bin_directory is None:
        raise RuntimeError(unavailable_reason())
    user = _postgres_user() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        home = Path(name)
        data = home / "data"
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [*become, str(bin_directory / program), *arguments],
                check=True,
                cwd=home,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )

        run("initdb", "-D", str(data), "-U", "portal", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={home}"))
        run("pg_ctl", "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
        try:
            run("createdb", "-h", str(home), "-U", "portal", "portal")
            yield f"postgres://portal@/portal?host={home}"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def _postgres_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def main(argv: list[str]) -> int:
    """Run the command with DATABASE_URL; 77 when there is no server to be had."""
    if reason := unavailable_reason():
        print(f"left out: the tests on PostgreSQL, because {reason[0].lower()}{reason[1:]}")
        return LEFT_OUT
    with server() as url:
        return subprocess.run(argv, env={**os.environ, "DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
