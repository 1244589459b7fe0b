"""What a server says about one deployment is counted with its target, whoever asks."""

import contextlib
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from deployments.execution import limited_sessions as module
from deployments.execution.claims import Claimed
from deployments.execution.limited_sessions import HEARD, limited_session
from deployments.models import Deployment, Target
from engine.errors import PortalError
from engine.ssh.session import Session
from tests.deployments.world import World

TOKEN = uuid.uuid4()


@contextlib.contextmanager
def talkative(*_: object) -> Iterator[SimpleNamespace]:
    """A session in which much is said."""
    yield SimpleNamespace(heard=None)


@pytest.fixture
def target(world: World, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(module, "open_target", talkative)
    row = world.succeeded(world.releases[0])
    Deployment.objects.filter(pk=row.pk).update(claim=TOKEN)
    Target.objects.filter(deployment=row).update(facts={"run_fence": 3})
    return Target.objects.select_related("deployment").filter(deployment=row)[0]


def fresh(target: Target) -> Target:
    return Target.objects.select_related("deployment").get(pk=target.pk)


def test_each_ask_goes_on_where_the_last_one_stopped_also_after_an_error(target: Target) -> None:
    for number in range(1, 4):
        row = fresh(target)  # another worker
        with contextlib.suppress(PortalError), limited_session(Claimed(row.deployment, TOKEN), row) as session:
            assert session.heard is not None
            assert (session.heard.size, session.heard.lines) == ((number - 1) * 1000, (number - 1) * 10)
            session.heard.add(1000, 10)
            raise PortalError("the line was cut")
    assert fresh(target).facts == {"run_fence": 3, HEARD: [3000, 30]}


def test_who_has_lost_the_claim_writes_nothing(target: Target) -> None:
    row = fresh(target)
    with limited_session(Claimed(row.deployment, uuid.uuid4()), row) as session:
        assert session.heard is not None
        session.heard.add(1000, 10)
    assert fresh(target).facts == {"run_fence": 3}


def heard(session: Session) -> object:
    return session.heard


def test_who_writes_the_facts_with_the_end_has_them_written_here_only_if_it_fails(target: Target) -> None:
    row = fresh(target)
    with limited_session(Claimed(row.deployment, TOKEN), row, ends=True) as session:
        assert session.heard is not None
        session.heard.add(1000, 10)
    assert heard(session) is None, "it is warm, and may be another deployment's next"
    assert row.facts == {"run_fence": 3, HEARD: [1000, 10]}
    assert fresh(target).facts == {"run_fence": 3}
    with contextlib.suppress(PortalError), limited_session(Claimed(row.deployment, TOKEN), row, ends=True) as session:
        assert session.heard is not None
        session.heard.add(500, 5)
        raise PortalError("the line was cut")
    assert heard(session) is None
    assert fresh(target).facts == {"run_fence": 3, HEARD: [1500, 15]}


def test_what_somebody_wrote_about_the_server_meanwhile_stays(target: Target) -> None:
    row = fresh(target)
    with limited_session(Claimed(row.deployment, TOKEN), row) as session:
        assert session.heard is not None
        session.heard.add(7, 1)
        Target.objects.filter(pk=target.pk).update(facts={"run_fence": 3, "watch": "well"})
    assert fresh(target).facts == {"run_fence": 3, "watch": "well", HEARD: [7, 1]}
