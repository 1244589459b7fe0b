"""A bare server is added, provisioned and given a secret with nothing but a browser, and deploys."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from deployments.models import BootstrapKey, Environment, Operation, Secret, Server
from deployments.operations.carrying_out import carry_out
from deployments.tasks import operate
from sandbox.hosts import HostSet
from tests.fixtures.records import MakePerson, MakeRelease

pytestmark = [pytest.mark.hosts, pytest.mark.django_db(transaction=True)]


def hidden(page: str) -> dict[str, list[str]]:
    """What a page carries on."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', page):
        found.setdefault(name, []).append(unescape(value))
    return found


def test_from_a_bare_machine_to_a_provisioned_server(
    hosts_factory: Callable[..., HostSet], make_person: MakePerson, make_release: MakeRelease, settings: Any
) -> None:
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)  # WhiteNoise asks for it
    hosts = hosts_factory(1)
    machine = hosts.host(1)
    make_release("1.0.0")
    make_person("administrator", "administrator")
    client = Client()
    client.force_login(User.objects.get(username="administrator"), backend="django.contrib.auth.backends.ModelBackend")
    add = reverse("admin:deployments_server_add")
    home = Environment.objects.get(name="test")
    where = {"environment": home.pk, "name": "new-1", "host": machine.address, "port": machine.port, "roles": ["bot"]}
    page = client.post(add, where).content.decode()
    command = re.search(r"ssh-keygen -lf (\S+\.pub)", page)
    assert command is not None
    printed = machine.root(["ssh-keygen", "-lf", command[1]]).stdout.decode().split()[1]
    assert hidden(page)["fingerprint"] == [printed], "the console prints what the page shows"
    assert client.post(add, hidden(page)).status_code == 302
    server = Server.objects.get(name="new-1")

    provision = reverse("admin:deployments_server_provision", args=[server.pk])
    key = Path(hosts.bootstrap_key).read_text()
    client.post(provision, {"account": "root", "key": key.replace("\n", "\r\n"), "passphrase": "", "password": ""})
    row = Operation.objects.get()
    assert operate(row.pk) == Operation.State.SUCCEEDED, carry_out(number=row.pk).sentence
    row.refresh_from_db()
    assert not BootstrapKey.objects.exists()
    assert re.fullmatch(r"new-1 is provisioned: \d+ of \d+ things changed\.", row.sentence)
    assert "dice-bot.service" in row.output
    server.refresh_from_db()
    assert server.state == Server.State.PROVISIONED

    secret = reverse("admin:deployments_environment_secret", args=[home.pk])
    done = client.post(secret, {"name": "dice-token", "value": "one\r\ntwo"}, follow=True)
    assert "dice-token is version 1. It is on new-1." in unescape(done.content.decode())
    lies = machine.root(["cat", "/opt/dice-bot/shared/secrets/dice-token"]).stdout.decode()
    assert lies == str(Secret.objects.get().value) == "one\ntwo"
