"""A password is tried by what its own environment runs with consent, and by nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.core.actors import system_actor
from deployments.models import AuditEvent, Environment, Secret, Server
from deployments.servers.credential_check import set_tried_secret
from engine.errors import InvalidRequest
from tests.fixtures.records import MakeRelease


@pytest.mark.parametrize("where", ["test", "production"])
def test_a_release_that_nobody_consented_to_sees_no_secret(
    where: str, make_release: MakeRelease, ready_server: Callable[[Environment], Server], state_dir: Path
) -> None:
    """On another environment's server, or written into this one's record by hand."""
    release = make_release("1.0.0")
    server = ready_server(Environment.objects.get(name=where))
    server.current_release = release
    server.save()
    production = Environment.objects.get(name="production")
    with pytest.raises(InvalidRequest) as refused:
        set_tried_secret(actor=system_actor("tests"), environment=production, name="cytube-password", value="secret")
    assert refused.value.reason == ("nowhere_to_try" if where == "test" else "no_way_back")
    assert not Secret.objects.exists()
    assert not AuditEvent.objects.filter(name="secret.tried").exists(), "nothing was even tried"
