"""Replacing an environment's SSH key on real servers: never a moment without a working one, whatever ends it."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.audit import trail
from deployments.core.sessions import address_of
from deployments.environments import ssh_keys
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, Server
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.servers.provisioning import setup_for
from engine.ssh.errors import AuthenticationRefused
from engine.ssh.keys import PrivateKey
from engine.ssh.session import Session
from tests.deployments.management.commands import exit_code
from tests.fixtures.fleet import Fleet
from tests.fixtures.records import MakePerson
from tests.stories.saying import said

pytestmark = pytest.mark.hosts
LINES = "/home/rosey/.ssh/authorized_keys"


@pytest.fixture
def two(fleet: Fleet) -> Iterator[Fleet]:
    """Two servers, each with a line of its operator beside ours; their keys are as before afterwards."""
    fleet.enrol(2)
    for machine in fleet.machines:
        machine.root(["sh", "-c", f"cp -p {LINES} /root/lines; echo '# our old key was {key(fleet)[0]}' >> {LINES}"])
    yield fleet
    for machine in fleet.machines:
        machine.root(["systemctl", "start", "ssh"])
        machine.root(["cp", "-p", "/root/lines", LINES])


def key(fleet: Fleet) -> tuple[str, str]:
    environment = fleet.environment
    return environment.public_key, str(environment.private_key)


def opens(fleet: Fleet, private: str, number: int) -> bool:
    try:
        with Session(address_of(fleet.server(number)), PrivateKey(private)):
            return True
    except AuthenticationRefused:
        return False


def events() -> list[str]:
    return list(AuditEvent.objects.filter(name__startswith="key.").order_by("sequence").values_list("name", flat=True))


def test_the_new_key_opens_every_server_before_the_old_one_goes(two: Fleet) -> None:
    _, old = key(two)
    code, words = said("rotate_keys", "test")
    assert code == 0, words
    assert "dice-1: the new key is let in" in words
    public, new = key(two)
    assert new != old
    for number in (1, 2):
        assert opens(two, new, number)
        assert not opens(two, old, number)
        lines = two.machines[number - 1].root(["cat", LINES]).stdout.decode()
        assert "# our old key was" in lines, "a comment is no key, and other people's lines stay"
        assert lines.count(public) == 1
    assert events() == ["key.made", *["key.let_in"] * 2, "key.rotated", *["key.taken_out"] * 2, "key.retired"]
    assert trail.verify() == []
    assert "PRIVATE" not in str(list(AuditEvent.objects.values_list("data", flat=True)))
    assert two.deploy(two.release("1.0.0")).status == Status.SUCCEEDED


def test_a_server_that_is_off_keeps_the_old_key_in_force_until_it_is_back(two: Fleet) -> None:
    _, old = key(two)
    two.machines[1].root(["systemctl", "stop", "ssh"])
    code, words = said("rotate_keys", "test")
    assert code == 1
    assert "dice-2 (" in words
    assert "the old one stays in force" in words
    assert key(two)[1] == old
    assert "has not reached every server" in two.environment.rotation
    waiting = str(two.environment.next_private_key)
    both = [two.environment.public_key, two.environment.next_public_key]
    assert list(setup_for(two.server(), two.release("1.0.0")).public_keys) == both, "provision takes neither away"
    assert opens(two, old, 1)
    assert opens(two, waiting, 1)
    two.machines[1].root(["systemctl", "start", "ssh"])
    assert exit_code("rotate_keys", "test") == 0
    assert key(two)[1] == waiting, "the pair that was let in is the one that is used"
    assert two.environment.rotation == ""
    for number in (1, 2):
        assert opens(two, waiting, number)
        assert not opens(two, old, number)


class Ended(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("moment", ["_let_in", "_switch", "_take_out", "_end"])
@pytest.mark.parametrize("after", [False, True])
def test_ended_anywhere_a_key_works_and_the_next_run_finishes(
    two: Fleet, moment: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, old = key(two)
    real = getattr(ssh_keys, moment)

    def ends(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise Ended

    with monkeypatch.context() as patched:
        patched.setattr(ssh_keys, moment, ends)
        with pytest.raises(Ended):
            exit_code("rotate_keys", "test")
    assert opens(two, key(two)[1], 1)
    assert opens(two, key(two)[1], 2)
    assert exit_code("rotate_keys", "test") == 0
    ended_whole = moment == "_end" and after  # then there was nothing to finish, and it has been rotated once more
    assert events().count("key.rotated") == (2 if ended_whole else 1)
    for number in (1, 2):
        assert opens(two, key(two)[1], number)
        assert not opens(two, old, number)


def test_a_waiting_approval_stays_valid_and_a_busy_environment_is_left_alone(
    two: Fleet, make_person: MakePerson
) -> None:
    environment = Environment.objects.get(name="test")
    environment.approvals_required = 1
    environment.save()
    release = two.release("1.0.0")
    waiting = request_deployment(actor=make_person("olga", "operator"), release=release, environment=environment)
    ssh_keys.rotate_keys(actor=two.actor, environment=environment)
    approve(actor=make_person("anna", "approver"), deployment=waiting)
    assert Deployment.objects.get().status == Status.QUEUED
    before = events()
    Environment.objects.update(approvals_required=0)
    assert exit_code("rotate_keys", "test") == 8
    assert events() == before


def test_a_server_provisioned_meanwhile_is_not_locked_out(two: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    Server.objects.filter(name="dice-2").update(state=Server.State.ENROLLED)
    real = ssh_keys._let_in

    def and_another_one(*arguments: Any) -> None:
        real(*arguments)
        Server.objects.update(state=Server.State.PROVISIONED)

    with monkeypatch.context() as patched:
        patched.setattr(ssh_keys, "_let_in", and_another_one)
        code, words = said("rotate_keys", "test")
    assert code == 1
    assert "dice-2 was provisioned meanwhile" in words
    assert exit_code("rotate_keys", "test") == 0
    assert opens(two, key(two)[1], 2)


def test_without_a_key_there_is_nothing_to_rotate(db: None) -> None:
    code, words = said("rotate_keys", "production")
    assert code == 1
    assert "is protected" in words
    Environment.objects.update(approvals_required=0)
    code, words = said("rotate_keys", "production")
    assert code == 2
    assert "enroll" in words
