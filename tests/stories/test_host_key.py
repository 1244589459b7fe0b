"""A server whose host key is really changed: everything stops until a person has confirmed the new one."""

import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from deployments.access.policy import user_actor
from deployments.access.tokens import issue_token
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, Release, Scope
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from engine.errors import NotApproved
from tests.fixtures.fleet import Fleet
from tests.fixtures.records import MakePerson
from tests.stories.saying import said

pytestmark = pytest.mark.hosts
# sessions that were signed in with the old key would go on
CHANGE = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key"
RESTART = "systemctl restart ssh; pkill -f '[s]shd: rosey'; true"


@pytest.fixture
def changed(fleet: Fleet) -> Iterator[Fleet]:
    """A server that runs 1.0.0 and then got a new host key; it has its old one afterwards."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    machine = fleet.machines[0]
    machine.root(["sh", "-c", f"cp -a /etc/ssh /root/ssh; {CHANGE}; {RESTART}"])
    yield fleet
    machine.root(["sh", "-c", f"rm -rf /etc/ssh; mv /root/ssh /etc/ssh; {RESTART}"])


def shown(fleet: Fleet) -> str:
    line = fleet.machines[0].root(["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.decode()
    return line.split()[1]


def enroll(fleet: Fleet, *more: str) -> tuple[int, str]:
    server = fleet.server()
    where = ("--environment", "test", "--host", server.host, "--port", str(server.port))
    return said("enroll", server.name, *where, *more)


def test_everything_stops_until_the_new_key_is_confirmed(
    changed: Fleet, make_person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = changed.server().fingerprint, shown(changed)
    release = changed.release("1.0.1")
    for command in (("deploy", "test", "--inline"), ("verify", "test"), ("drift", "test"), ("rotate_keys", "test")):
        code, words = said(*command)
        assert code == 1, words
        assert new in words, "what the server shows"
        assert f"{old} is pinned" in words
        assert "nothing was sent" in words
        assert "Traceback" not in words
    assert changed.current() == Release.objects.get(version="1.0.0").identifier

    code, words = enroll(changed)
    assert code == 2
    assert old in words, "a person is shown both"
    assert new in words
    assert "not confirmed" in words
    code, words = enroll(changed, "--fingerprint", "SHA256:" + "a" * 43)
    assert code == 1
    assert f"{old} stays pinned" in words
    assert changed.server().fingerprint == old

    waiting = _request_with_approval(make_person, release)
    code, words = enroll(changed, "--fingerprint", new)
    assert (code, "is protected" in words) == (1, True)
    monkeypatch.setenv("PORTAL_TOKEN", _token(make_person))
    code, words = enroll(changed, "--fingerprint", new, "--json")
    monkeypatch.delenv("PORTAL_TOKEN")
    assert code == 0, words
    assert json.loads(words)["fingerprint_before"] == old
    assert changed.server().fingerprint == new
    event = AuditEvent.objects.get(name="server.host_key_confirmed")
    assert event.actor == "adam/token:keys"
    assert event.data["fingerprint"] == new
    assert event.data["before"]["fingerprint"] == old

    with pytest.raises(NotApproved, match="host_key"):
        approve(actor=make_person("anna", "approver"), deployment=waiting)
    waiting.refresh_from_db()
    assert waiting.status == Status.SUPERSEDED
    Environment.objects.update(approvals_required=0)
    assert changed.deploy(release).status == Status.SUCCEEDED


def _request_with_approval(make_person: MakePerson, release: Release) -> Deployment:
    environment = Environment.objects.get(name="test")
    environment.approvals_required = 1
    environment.save()
    return request_deployment(actor=make_person("olga", "operator"), release=release, environment=environment)


def _token(make_person: MakePerson) -> str:
    owner = User.objects.get(username=make_person("adam", "administrator").name)
    return str(issue_token(actor=user_actor(owner), name="keys", scopes=[Scope.ADMINISTER], owner=owner)[1])
