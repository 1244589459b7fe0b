"""Adding a server in the browser: what it shows is compared with its console before anything is recorded."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape

import paramiko
import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from deployments.models import Application, AuditEvent, Environment, Server
from engine.ssh.keys import HostKey
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

ADD = "/admin/deployments/server/add/"
WHERE = {"name": "new-1", "host": "127.0.0.1", "port": "22", "user": "", "roles": ["bot"], "jump": ""}


@contextmanager
def sshd(key: paramiko.PKey) -> Iterator[tuple[int, HostKey]]:
    """The port of an SSH server that shows this key to whoever asks, and lets nobody in."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.start_server(server=paramiko.ServerInterface(), event=threading.Event())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listening.getsockname()[1]), HostKey(key.get_name(), key.get_base64())
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def machine() -> Iterator[tuple[int, HostKey]]:
    with sshd(paramiko.ECDSAKey.generate()) as found:
        yield found


@pytest.fixture
def ask(world: World, machine: tuple[int, HostKey]) -> Callable[..., str]:
    """Send the form and return the page; what it carries on is sent back by `confirm`."""

    def send(who: str = "administrator", status: int = 200, **more: object) -> str:
        data = {**WHERE, "environment": world.production.pk, "port": machine[0], **more}
        answer = world.client(who).post(ADD, data)
        assert answer.status_code == status
        return answer.content.decode()

    return send


def carried(page: str) -> dict[str, list[str]]:
    """The hidden fields of a page."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page):
        if name != "csrfmiddlewaretoken":
            found.setdefault(name, []).append(unescape(value))
    return found


def test_the_key_is_shown_beside_what_prints_it_and_recorded_when_confirmed(
    world: World, machine: tuple[int, HostKey], ask: Callable[..., str]
) -> None:
    port, key = machine
    page = ask()
    assert key.fingerprint in page
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub" in page
    assert not Server.objects.filter(name="new-1").exists(), "nothing before somebody has compared"
    done = world.client("administrator").post(ADD, carried(page), follow=True)
    made = Server.objects.get(name="new-1")
    assert done.redirect_chain[-1][0] == reverse("admin:deployments_server_change", args=[made.pk])
    assert (made.host, made.port, made.roles, made.user) == ("127.0.0.1", port, ["bot"], "rosey")
    assert (made.environment, made.host_key, made.state) == (world.production, str(key), Server.State.ENROLLED)
    event = AuditEvent.objects.get(name="server.enrolled")
    assert (event.actor, event.data["fingerprint"]) == ("administrator", key.fingerprint)


def test_a_machine_that_is_known_by_another_name_is_named_before_it_is_added_and_afterwards(
    world: World, machine: tuple[int, HostKey], ask: Callable[..., str]
) -> None:
    Environment.objects.update(application="dice-bot")
    Application.objects.get_or_create(name="tea-bot")
    home = Environment.objects.create(application="tea-bot", name="test", approvals_required=0)
    Server.objects.filter(pk=world.servers["production"].pk).update(host_key=str(machine[1]))
    page = ask(environment=home.pk, user="tea-bot-deploy")
    assert "This machine is already known as production-1 of" in text_of(page)
    done = world.client("administrator").post(ADD, carried(page), follow=True)
    assert Server.objects.filter(name="new-1").exists()
    assert "This machine is already known as production-1 of" in text_of(done.content.decode())


def test_another_key_than_the_confirmed_one_is_not_recorded(
    world: World, machine: tuple[int, HostKey], ask: Callable[..., str]
) -> None:
    page = ask()
    with sshd(paramiko.ECDSAKey.generate()) as (port, other):
        sent = {**carried(page), "port": [str(port)]}
        answer = world.client("administrator").post(ADD, sent)
    assert answer.status_code == 409
    assert f"showed the host key {other.fingerprint}, not {machine[1].fingerprint}" in answer.content.decode()
    assert not Server.objects.filter(name="new-1").exists()


def test_a_server_with_another_key_than_the_pinned_one_is_asked_about_loudly(
    world: World, machine: tuple[int, HostKey], ask: Callable[..., str]
) -> None:
    there = world.servers["production"]
    Server.objects.filter(pk=world.servers["test"].pk).update(state=Server.State.RETIRED)
    said = text_of(ask(name=there.name))
    assert f"{there.fingerprint} is pinned, and the server shows another key" in said
    assert f"{there.name} is enrolled already" in said
    there.refresh_from_db()
    assert there.host == "production.invalid"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "No_1", "Use lower-case letters, digits and hyphens."),
        ("name", "", "This field is required."),
        ("name", "test-1", "test-1 is a server of test."),
        ("host", "root@192.0.2.4", "names an account, too. Give it alone"),
        ("host", "192.0.2.4:2222", "is no name or address. Give it alone"),
        ("host", "a b", "is no name or address."),
        ("port", "70000", "less than or equal to 65535"),
        ("user", "Root", "is no name of an account"),
        ("roles", [], "This field is required."),
        ("jump", "gate", "is no jump host"),
        ("host", "new.invalid", "new.invalid"),
        ("host", "a" * 64, "it is no host name"),
    ],
)
def test_a_refused_form_keeps_what_was_typed_and_names_the_field(
    field: str, value: object, said: str, world: World, machine: tuple[int, HostKey]
) -> None:
    data = {**WHERE, "environment": world.production.pk, "port": machine[0], field: value}
    answer = world.client("administrator").post(ADD, data)
    assert answer.status_code in (409, 422, 502)
    page = unescape(answer.content.decode())
    beside = [part for part in page.split('<div class="cy-field errors">')[1:] if f'name="{field}"' in part]
    assert beside, "the field is named"
    words = text_of(beside[0].split('<div class="cy-field')[0])
    assert said in words
    assert "--" not in words, "flags are for terminals"
    if isinstance(value, str):
        assert f'value="{value}"' in page or not value
    assert not Server.objects.filter(name="new-1").exists()


def test_the_form_comes_back_filled_in_and_nothing_in_it_is_confirmed(world: World, ask: Callable[..., str]) -> None:
    answer = world.client("administrator").post(ADD, {**carried(ask()), "again": "1"})
    page = answer.content.decode()
    assert 'value="new-1"' in page
    assert "SHA256:" not in page


def test_a_jump_hosts_key_is_asked_about_before_the_servers(world: World, ask: Callable[..., str]) -> None:
    with sshd(paramiko.RSAKey.generate(2048)) as (port, key):
        page = ask(jump=f"ops@127.0.0.1:{port}")
        assert "Is this the jump host's key?" in unescape(page)
        assert "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub" in page
        assert carried(page)["jump_fingerprint"] == [key.fingerprint]
        answer = world.client("administrator").post(ADD, carried(page))
    assert answer.status_code == 502, "it lets nobody in"
    assert "authorized_keys there" in text_of(answer.content.decode())


def test_a_servers_page_leads_to_the_form_with_what_is_recorded(
    world: World, machine: tuple[int, HostKey], ask: Callable[..., str]
) -> None:
    there = world.servers["production"]
    Server.objects.filter(pk=there.pk).update(roles=["bot", "monitoring"])
    Server.objects.filter(pk=world.servers["test"].pk).update(state=Server.State.RETIRED)
    own = reverse("admin:deployments_server_change", args=[there.pk])
    address = re.search(rf'href="({ADD}[^"]+)"', world.client("administrator").get(own).content.decode())
    assert address is not None
    assert ADD not in world.client("operator").get(own).content.decode()
    form = world.client("administrator").get(unescape(address[1])).content.decode()
    for value in (
        f'value="{there.name}"',
        'value="production.invalid"',
        'value="rosey"',
        f'value="{there.environment_id}" selected',
    ):
        assert value in form
    assert len(re.findall(r'name="roles" value="(?:bot|monitoring)"[^>]* checked', form)) == 2
    page = ask(name=there.name, user="rosey", roles=["bot", "monitoring"])
    assert world.client("administrator").post(ADD, carried(page)).status_code == 302
    there.refresh_from_db()
    assert (there.host, there.port, there.fingerprint) == ("127.0.0.1", *machine[:1], machine[1].fingerprint)
    assert there.state == Server.State.PROVISIONED, "it goes on where it was"
    assert AuditEvent.objects.filter(name="server.host_key_confirmed", actor="administrator").exists()


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_nobody_else_adds_servers(who: str, world: World, ask: Callable[..., str]) -> None:
    assert world.client(who).get(ADD).status_code == 403
    ask(who, status=403)
    assert ADD not in world.client(who).get("/admin/deployments/server/").content.decode()


def test_whose_roles_hold_in_one_application_adds_servers_there_alone(world: World) -> None:
    Environment.objects.filter(pk=world.test.pk).update(application="dice-bot")
    application, _ = Application.objects.get_or_create(name="dice-bot")
    application.people.add(User.objects.get(username="administrator"))
    page = world.client("administrator").get(ADD).content.decode()
    assert re.findall(r'<option value="(\d+)"', page) == [str(world.test.pk)]
