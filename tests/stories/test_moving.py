"""A move that fails leaves the old portal in charge and nothing running on the server, wherever it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployments.audit import trail
from deployments.backup import moving
from deployments.core import read_only
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Move, Server
from engine.commands import moving as commands
from engine.errors import EnvironmentBusy, InvalidRequest, PortalError, TargetError
from engine.ssh.errors import LinkLost
from tests.stories.moving import answer_of, move
from tests.stories.test_monitoring_role import Watching
from tests.stories.test_portal_role import portal_host

__all__ = ["portal_host"]
pytestmark = [pytest.mark.hosts, pytest.mark.monitoring, pytest.mark.full, pytest.mark.xdist_group("hosts")]


@contextmanager
def fails_and_stays(host: Watching, error: type[BaseException], match: str | None = None) -> Iterator[None]:
    """The move inside ends with `error`, and everything is as it was."""
    with pytest.raises(error, match=match):
        yield
    assert read_only.read_only_reason() is None
    assert not Move.objects.exists()
    assert AuditEvent.objects.latest("sequence").name == "portal.move_failed"
    assert host.said("systemctl", "is-active", *commands.UNITS).split() == ["inactive"] * len(commands.UNITS)
    assert trail.verify() == []


def test_wherever_it_fails_the_old_one_stays(portal_host: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="no provisioned server"):
        move(portal_host)
    portal_host.provision()
    deployment = portal_host.deploy()
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    machine = portal_host.machine

    Deployment.objects.filter(pk=deployment.pk).update(status=Status.RUNNING)
    with pytest.raises(EnvironmentBusy):
        move(portal_host)
    Deployment.objects.filter(pk=deployment.pk).update(status=Status.SUCCEEDED)
    assert read_only.read_only_reason() is None

    machine.root(["mv", "/opt/rosey-bot/current/manage.py", "/opt/rosey-bot/current/away.py"])
    with fails_and_stays(portal_host, PortalError, "restore"):
        move(portal_host)
    machine.root(["mv", "/opt/rosey-bot/current/away.py", "/opt/rosey-bot/current/manage.py"])

    monkeypatch.setattr(moving, "ANSWER_SECONDS", 3.0)
    machine.root(["systemctl", "stop", "caddy.service"])
    with fails_and_stays(portal_host, TargetError, "did not prove itself"):
        move(portal_host)
    machine.root(["systemctl", "start", "caddy.service"])
    monkeypatch.undo()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, fails_and_stays(portal_host, KeyboardInterrupt):
        patch.setattr(moving._There, "verify", interrupted)
        move(portal_host)

    Server.objects.filter(name="ops-1").update(current_release=None)
    monkeypatch.setattr(moving, "ANSWER_SECONDS", 3.0)
    with fails_and_stays(portal_host, TargetError, "it says release"):
        move(portal_host)
    Server.objects.filter(name="ops-1").update(current_release=deployment.release)
    monkeypatch.undo()

    with monkeypatch.context() as patch:  # the line is cut when it should take charge: both hold still

        def cut(*_: object) -> None:
            raise LinkLost("gone")

        patch.setattr(moving._There, "take_charge", cut)
        with pytest.raises(TargetError, match="has let go"):
            move(portal_host)
    assert read_only.read_only_reason() is not None
    assert answer_of(portal_host).in_charge is False
    move(portal_host)
    assert answer_of(portal_host).in_charge is True
