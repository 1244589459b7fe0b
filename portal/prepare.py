"""What a release needs once before its web process starts: `python -m portal.prepare`, by systemd/cytube-web.service.

Migrates the database and collects static files. A stamp in the state directory names the release for which that was
done, so that a web process which was killed is back without it.
"""

import os
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
COMMANDS = (["migrate", "--verbosity", "0"], ["collectstatic", "--noinput", "--verbosity", "0"])


def main() -> int:
    """Prepare unless this release has been; the exit code of what failed."""
    release = os.environ.get("RELEASE_ID", "")
    stamp = Path(os.environ.get("PORTAL_STATE_DIR", BASE_DIR / ".state")) / "prepared"
    if release and stamp.exists() and stamp.read_text() == release:
        return 0
    for command in COMMANDS:
        done = subprocess.run([sys.executable, "manage.py", *command], cwd=BASE_DIR, check=False)
        if done.returncode:
            return done.returncode
    stamp.write_text(release)
    return 0


if __name__ == "__main__":
    sys.exit(main())
