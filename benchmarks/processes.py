"""What measurements start of the product: a portal on a database of its own, and task clusters as production has."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.core.actors import Actor
    from deployments.models import Environment, Release, Server
    from sandbox.hosts import Host
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.run import Child

ROOT = Path(__file__).resolve().parent.parent


def start_django(state: Path) -> None:
    """This process becomes a portal whose state lies in `state`; imports of models come after this."""
    os.environ.update({"PORTAL_STATE_DIR": str(state), "DJANGO_SETTINGS_MODULE": "portal.settings"})
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def cluster(name: str) -> contextlib.AbstractContextManager[None]:
    """One of the three task clusters, as a process of its own, started as production does."""
    from portal.run import clusters

    return running(next(each for each in clusters() if each.cluster == name))


@contextlib.contextmanager
def running(child: "Child") -> Iterator[None]:
    """A process of the portal's, in silence, for as long as the block lasts."""
    process = subprocess.Popen(
        child.command,
        cwd=ROOT,
        env={**os.environ, **child.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def one_more_server(
    host: "Host", key: Path, *, actor: "Actor", environment: "Environment", name: str, release: "Release"
) -> "Server":
    """A host as a server of this environment, enrolled and provisioned for a release's bot; `key` lets root in."""
    from deployments.servers.enrolment import enrol_server
    from deployments.servers.provisioning import provision_server
    from engine.remote.bootstrap import Bootstrap
    from engine.ssh.keys import PrivateKey

    server = enrol_server(
        actor=actor,
        name=name,
        environment=environment,
        host=host.address,
        port=22,
        user="rosey",
        roles=["bot"],
        fingerprint=host.fingerprint,
        confirm=lambda *_: False,
    )
    bootstrap = Bootstrap("root", (PrivateKey(key.read_text()),))
    provision_server(actor=actor, server=server, release=release, bootstrap=bootstrap)
    return server
