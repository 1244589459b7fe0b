"""Moving the portal of a test to its server, as `install_portal` does."""

from collections.abc import Callable

from deployments.backup.moving import Moved, move_portal
from deployments.backup.portal_probe import Answer, ask_over_tls
from engine.commands.moving import CA_CERTIFICATE
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import PrivateKey
from tests.stories.test_monitoring_role import ACTOR, Watching


def move(portal_host: Watching, say: Callable[[str], None] = lambda line: None) -> Moved:
    """The portal of this test process becomes the one on the server."""
    portal_host.server.refresh_from_db()
    key = PrivateKey(portal_host.hosts.bootstrap_key.read_text())
    return move_portal(actor=ACTOR, server=portal_host.server, bootstrap=Bootstrap("root", (key,)), say=say)


def answer_of(portal_host: Watching) -> Answer:
    """What the portal on the server says of itself, over TLS."""
    return ask_over_tls(portal_host.machine.address, portal_host.said("cat", CA_CERTIFICATE))
