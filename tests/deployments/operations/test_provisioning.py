"""Provisioning by a worker: a person's keys are encrypted while they wait, gone when it begins, and shown nowhere."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.models import AuditEvent, BootstrapKey, Operation, Server
from deployments.operations.carrying_out import carry_out, settle_lost
from deployments.operations.provisioning import BootstrapAccount, ask_for_provisioning
from deployments.operations.requesting import operate
from deployments.requests.approvals import approve
from engine.errors import Conflict, NotAllowed, PortalError
from engine.remote.bootstrap import Bootstrap
from engine.ssh.keys import generate_key
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

KEY = generate_key("bootstrap")[0]
OTHER_KEY = generate_key("another")[1].rpartition(" ")[0]
CANARY = KEY.splitlines()[2]
PASSWORD = "canary of a password"


@pytest.fixture
def server(world: World) -> Server:
    """An enrolled one, which nobody answers for."""
    Server.objects.filter(pk=world.servers["production"].pk).update(
        state=Server.State.ENROLLED, host="127.0.0.1", port=1
    )
    return Server.objects.get(pk=world.servers["production"].pk)


def ask(world: World, server: Server, who: str = "administrator") -> Operation:
    account = BootstrapAccount("root", KEY, password=PASSWORD)
    return ask_for_provisioning(actor=world.people[who], server=server, account=account)


def kept(number: int) -> str:
    """What the database holds of an operation, as it lies there, and everything else that remembers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM deployments_operation WHERE id = %s", [number])
        row = str(cursor.fetchall())
        cursor.execute("SELECT * FROM deployments_bootstrapkey")
        row += str(cursor.fetchall())
    remembered = [list(AuditEvent.objects.values()), [task.task for task in OrmQ.objects.all()]]
    return row + json.dumps(remembered, cls=DjangoJSONEncoder)


def stored(number: int) -> str:
    """The key as it lies there; empty where none does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM deployments_bootstrapkey WHERE operation_id = %s", [number])
        found = cursor.fetchone()
        return str(found[0]) if found else ""


def test_key_and_password_are_encrypted_until_a_worker_begins_and_gone_then(
    world: World, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    row = ask(world, server)
    assert stored(row.pk).startswith("gAAAA"), "as every secret is"
    for secret in (CANARY, PASSWORD):
        assert secret not in kept(row.pk)
        assert secret not in repr(row.__dict__) + repr(BootstrapAccount("root", KEY, password=PASSWORD))
    done = carry_out(number=row.pk)
    assert stored(row.pk) == ""
    assert (done.state, done.outcome) == (Operation.State.FAILED, "host_unreachable")
    assert "Signing in to 127.0.0.1 as root." in done.output
    for secret in (CANARY, PASSWORD):
        assert secret not in kept(row.pk) + caplog.text
    events = AuditEvent.objects.filter(name__startswith="service.").order_by("sequence")
    assert [event.name for event in events] == ["service.provision_requested", "service.provision_failed"]
    assert events[0].actor == "administrator"
    assert events[0].data["account"] == "root"


def test_a_worker_has_them_while_it_works(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for the server here says everything it is told."""
    heard: list[str] = []

    def telling(*, bootstrap: Bootstrap, **_: object) -> list[object]:
        heard.append(bootstrap.ask_password())
        assert stored(Operation.objects.get().pk) == ""
        raise PortalError(f"sudo says: {heard[0]} is wrong")

    monkeypatch.setattr("deployments.operations.provisioning.provision_server", telling)
    done = carry_out(number=ask(world, server).pk)
    assert heard == [PASSWORD]
    assert done.sentence == "sudo says: [secret password] is wrong"


def test_they_wait_six_minutes_for_a_worker_and_no_longer(world: World, server: Server) -> None:
    row = ask(world, server)
    reaper = system_actor("reaper")
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=5))
    assert settle_lost(actor=reaper) == 0
    Operation.objects.update(requested_at=timezone.now() - timedelta(minutes=7))
    assert settle_lost(actor=reaper) == 1
    assert stored(row.pk) == ""
    row.refresh_from_db()
    assert (row.state, row.outcome) == (Operation.State.FAILED, "no_worker")


@pytest.mark.parametrize("state", Operation.State.values)
def test_after_an_hour_no_key_is_kept_whatever_became_of_it(state: str, world: World, server: Server) -> None:
    row = ask(world, server)
    Operation.objects.update(state=state, requested_at=timezone.now())
    BootstrapKey.objects.update(made_at=timezone.now() - timedelta(minutes=59))
    settle_lost(actor=system_actor("reaper"))
    assert stored(row.pk)
    BootstrapKey.objects.update(made_at=timezone.now() - timedelta(minutes=61))
    settle_lost(actor=system_actor("reaper"))
    assert stored(row.pk) == ""


def test_one_whose_key_is_kept_no_more_does_nothing(world: World, server: Server) -> None:
    row = ask(world, server)
    BootstrapKey.objects.all().delete()
    done = carry_out(number=row.pk)
    assert (done.state, done.output) == (Operation.State.FAILED, "")
    assert "are not kept any more, so nothing was done" in done.sentence


def test_one_that_works_has_half_an_hour(world: World, server: Server) -> None:
    ask(world, server)
    Operation.objects.update(state=Operation.State.RUNNING, requested_at=timezone.now() - timedelta(minutes=30))
    assert settle_lost(actor=system_actor("reaper")) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"host": "elsewhere.invalid"},
        {"port": 2},
        {"host_key": OTHER_KEY},
        {"jump": "rosey@elsewhere.invalid:22", "jump_host_key": OTHER_KEY},
    ],
)
def test_nobody_signs_in_where_the_record_was_changed_meanwhile(
    change: dict[str, Any], world: World, server: Server
) -> None:
    """What it says of its host key beside the key itself is not asked."""
    row = ask(world, server)
    Server.objects.filter(pk=server.pk).update(**change)
    done = carry_out(number=row.pk)
    assert done.state == Operation.State.FAILED
    assert "has another address, way or host key than when this was asked for" in done.sentence
    assert not done.output


def test_it_begins_beside_no_deployment_that_began_meanwhile(world: World, server: Server) -> None:
    row = ask(world, server)
    Server.objects.filter(pk=server.pk).update(state=Server.State.PROVISIONED)
    approve(actor=world.people["approver"], deployment=world.request("operator"))
    done = carry_out(number=row.pk)
    assert (done.state, done.outcome, done.output) == (Operation.State.FAILED, "environment_busy", "")
    assert stored(row.pk) == ""


def test_it_is_carried_out_once_and_beside_nothing_else(world: World, server: Server) -> None:
    row = ask(world, server)
    with pytest.raises(Conflict, match="is under way"):
        ask(world, server)
    first = carry_out(number=row.pk)
    assert carry_out(number=row.pk).finished_at == first.finished_at


def test_who_may_only_operate_provisions_nothing(world: World, server: Server) -> None:
    with pytest.raises(NotAllowed):
        ask(world, server, "operator")
    row = operate(actor=world.people["operator"], server=server, kind=Operation.Kind.PROVISION)
    assert carry_out(number=row.pk).outcome == "nobody_behind_it"


def test_the_form_asks_a_worker_and_its_page_follows(world: World, server: Server) -> None:
    client = world.client("administrator")
    address = reverse("admin:deployments_server_provision", args=[server.pk])
    said = text_of(client.get(address).content.decode())
    assert f"The units are those of {world.releases[1]} , the newest" in said.replace(",", " ,").replace("  ", " ")
    sent = {"account": "root", "key": KEY.replace("\n", "\r\n"), "passphrase": "", "password": PASSWORD}
    page = client.post(address, sent, follow=True)
    row = Operation.objects.get()
    assert page.redirect_chain[-1][0] == reverse("admin:deployments_operation_change", args=[row.pk])
    assert "Queued" in text_of(page.content.decode())
    assert CANARY not in page.content.decode()
    carry_out(number=row.pk)
    follow = client.get(reverse("admin:deployments_operation_progress", args=[row.pk]))
    assert (follow.status_code, "Signing in to 127.0.0.1 as root." in follow.content.decode()) == (286, True)


@pytest.mark.parametrize(
    ("key", "passphrase", "field", "said"),
    [
        ("no key", "", "key", "not an ed25519, ECDSA or RSA key"),
        ("", "", "key", "This field is required"),
        ("encrypted", "", "passphrase", "has a passphrase"),
        ("encrypted", "wrong", "passphrase", "does not open the private key"),
    ],
)
def test_a_refused_form_keeps_the_account_and_no_key(
    key: str, passphrase: str, field: str, said: str, world: World, server: Server
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if key == "encrypted":
        private = Ed25519PrivateKey.generate()
        locked = serialization.BestAvailableEncryption(b"right")
        form = serialization.PrivateFormat.OpenSSH
        key = private.private_bytes(serialization.Encoding.PEM, form, locked).decode()
    address = reverse("admin:deployments_server_provision", args=[server.pk])
    sent = {"account": "maint", "key": key, "passphrase": passphrase, "password": PASSWORD}
    answer = world.client("administrator").post(address, sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page.split(f'id="id_{field}"')[1].split('<div class="cy-field')[0]
    assert 'value="maint"' in page
    assert PASSWORD not in page
    assert not key or key.splitlines()[0] not in page
    assert not Operation.objects.exists()


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_nobody_else_is_offered_it(who: str, world: World, server: Server) -> None:
    client = world.client(who)
    address = reverse("admin:deployments_server_provision", args=[server.pk])
    page = client.get(reverse("admin:deployments_server_change", args=[server.pk])).content.decode()
    assert address not in page
    answer = client.get(address)
    assert answer.status_code == 403
    assert 'name="key"' not in answer.content.decode()
