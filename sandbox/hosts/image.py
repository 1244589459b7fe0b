"""Build a Debian image, once: debootstrap from the mirror this machine itself is configured to use."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import store
from .errors import CommandFailed, ImageFailed
from .processes import output, run
from .recipe import DIRECTORIES, FILES, IMAGES, MASKED, REMOVED, Image

log = logging.getLogger("sandbox.hosts")

BUILD_DEADLINE = 1800.0
"""Seconds. A build takes about one minute on a good line (measured: 60 s on two cores); a bad line gets thirty."""

STEPS = {
    "I: Retrieving InRelease": "asking the Debian mirror",
    "I: Retrieving libc6": "downloading about 200 packages",
    "I: Extracting libc6": "unpacking the base",
    "I: Unpacking the base system": "unpacking the packages",
    "I: Configuring the base system": "configuring the packages",
}
"""What debootstrap says, and what that means to somebody who waits."""


def ensure_image(name: str = "bare") -> None:
    """Make sure an image exists. Of several processes one builds and the others wait for it. Raises ImageFailed."""
    if store.base(name).is_dir():
        return
    with store.locked():
        if store.base(name).is_dir():
            return
        home = store.usable(store.base(name).parent)
        for left in home.glob(".base-*"):
            shutil.rmtree(left)
        log.info("Building the Debian image in %s: once, about a minute.", home)
        made = Path(tempfile.mkdtemp(prefix=".base-", dir=home))
        made.chmod(0o755)
        _debootstrap(made, IMAGES[name])
        _adapt(made, IMAGES[name])
        made.rename(store.base(name))
        log.info("The Debian image is ready.")


def debian_mirror(indextargets: str) -> str | None:
    """The Debian mirror among apt's index targets (`ORIGIN|LABEL|URI` lines), None when apt knows none.

    It has every release, whichever this machine itself is of.
    """
    for line in indextargets.splitlines():
        origin, label, uri = line.split("|", 2)
        if (origin, label) == ("Debian", "Debian") and uri.startswith(("http:", "https:", "file:")):
            return uri
    return None


def _machine_mirror() -> list[str]:
    """As debootstrap's argument. On a machine that is not Debian: none, debootstrap then takes its own default."""
    shape = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    try:
        targets = run(["apt-get", "indextargets", "--format", shape, "Created-By: Packages"]).stdout.decode()
    except CommandFailed:
        return []
    mirror = debian_mirror(targets)
    return [mirror] if mirror else []


def _environment() -> dict[str, str]:
    """Ours, and the proxy apt is told to use: debootstrap downloads by itself and does not ask apt."""
    environment = dict(os.environ)
    for scheme in ("http", "https"):
        asked = run(["apt-config", "shell", "PROXY", f"Acquire::{scheme}::Proxy"], check=False).stdout.decode()
        if asked.startswith("PROXY='") and asked.strip() != "PROXY='DIRECT'":
            environment.setdefault(f"{scheme}_proxy", asked.strip()[len("PROXY='") : -1])
    return environment


def _debootstrap(root: Path, image: Image) -> None:
    """In mount and process namespaces of its own, which end with us: no /proc stays mounted below the cache."""
    contained = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    tool = ["debootstrap", "--variant=minbase", "--force-check-gpg", f"--include={','.join(image.packages)}"]
    said: list[str] = []
    with subprocess.Popen(
        [*contained, *tool, image.suite, str(root), *_machine_mirror()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(),
    ) as process:
        for line in output(process):
            said.append(line.strip())
            for begin, meaning in STEPS.items():
                if line.startswith(begin):
                    log.info("  %s", meaning)
        code = process.wait(BUILD_DEADLINE)
    if code != 0:
        raise ImageFailed(
            f"debootstrap ended with exit code {code}: {' / '.join(said[-3:])}.",
            hint="Check that this machine reaches its Debian mirror (`apt-get update`), then try again.",
        )


def _adapt(root: Path, image: Image) -> None:
    """Make the unpacked system a quiet, fast host, without keys or identity of its own."""
    units = root / "etc/systemd/system"
    for wants in units.glob("*.wants/*"):
        if wants.name in image.not_started:
            wants.unlink()
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for path in REMOVED:
        target = root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    for path in DIRECTORIES:
        (root / path).mkdir(parents=True, exist_ok=True)
    for path, content in FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(content)
        target.chmod(0o755 if content.startswith("#!") else 0o644)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
