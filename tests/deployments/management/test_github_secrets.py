"""From the portal's keys to GitHub's secrets: through pipes alone."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.core.actors import Actor, system_actor
from deployments.github.runner import Access, secret_names
from deployments.github.secrets import github_secret
from deployments.models import AuditEvent, Environment, NotificationChannel, NotificationDelivery, Role, Server
from deployments.servers.enrolment import ensure_key
from tests.deployments.management.commands import exit_code
from tests.workflows.portals import ROOT, Portal

pytestmark = pytest.mark.django_db

GH = """#!/bin/bash
# stands in for GitHub's client: keeps what it is told
printf '%s\\n' "$*" >> "$GH_STATE/argv"
cat > "$GH_STATE/$3"
"""
SERVER = """
from django.db import transaction
from deployments.models import Environment, Server
from deployments.core.actors import system_actor
from deployments.servers.enrolment import ensure_key
environment = Environment.objects.get(name="test")
with transaction.atomic():
    ensure_key(actor=system_actor("tests"), environment=environment)
Server.objects.create(
    name="t", environment=environment, host="bot.example.org", port=2222, roles=["bot"], fingerprint="SHA256:x",
    host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
)
"""


def test_the_printed_lines_give_github_what_a_runner_needs_and_put_no_value_on_a_command_line(
    tmp_path: Path, migrated: Path
) -> None:
    portal = Portal(tmp_path / "portal")
    portal.state.mkdir()
    shutil.copyfile(migrated, portal.state / "portal.sqlite3")
    assert portal.manage("shell", "--command", SERVER).returncode == 0
    lines = portal.manage("github_secrets", "test").stdout
    assert len(lines.splitlines()) == 4

    (tmp_path / "bin").mkdir()
    (tmp_path / "gh").mkdir()
    (tmp_path / "bin/gh").write_text(GH)
    (tmp_path / "bin/gh").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = portal.environment | {"PATH": path, "GH_STATE": str(tmp_path / "gh")}
    script = "set -eo pipefail\n" + lines.replace("./manage.py", "python manage.py")
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr

    told = {name: (tmp_path / "gh" / name).read_text() for name in secret_names("test").values()}
    access = Access.from_environment("test", told)
    assert (access.host, access.port, access.user) == ("bot.example.org", 2222, "rosey")
    assert "PRIVATE KEY" in access.key
    assert (tmp_path / "gh/argv").read_text().splitlines() == [
        f"secret set {name} --env test" for name in secret_names("test").values()
    ]
    assert "PRIVATE" not in lines + done.stdout.decode() + done.stderr.decode()


def test_a_private_key_that_is_handed_out_is_in_the_audit_trail(ready_server: Callable[[Environment], Server]) -> None:
    environment = Environment.objects.get(name="test")
    ensure_key(actor=system_actor("tests"), environment=environment)
    ready_server(environment)  # a callable
    assert exit_code("github_secrets", "test", "--value", "TEST_SERVER_HOST") == 0
    assert not AuditEvent.objects.filter(name="key.handed_out").exists()
    assert exit_code("github_secrets", "test", "--value", "SSH_KEY_TEST") == 0
    event = AuditEvent.objects.get(name="key.handed_out")
    assert event.data["public_key"] == environment.public_key
    assert "PRIVATE" not in str(event.data)


def test_people_are_told_when_the_key_of_a_protected_environment_leaves(
    ready_server: Callable[[Environment], Server],
) -> None:
    for name, told in (("test", 0), ("production", 1)):
        environment = Environment.objects.get(name=name)
        ensure_key(actor=system_actor("tests"), environment=environment)
        ready_server(environment)
        NotificationChannel.objects.create(name=name, url="json://localhost", environment=environment)
        mallory = Actor("user", "mallory", frozenset({Role.ADMINISTRATOR}), person="mallory")
        github_secret(actor=mallory, environment=environment, name=secret_names(name)["key"])
        assert NotificationDelivery.objects.count() == told
    told_of = NotificationDelivery.objects.get()
    assert "handed out by mallory" in told_of.title + told_of.body


def test_the_shell_alone_gets_no_production_key(ready_server: Callable[[Environment], Server]) -> None:
    environment = Environment.objects.get(name="production")
    ensure_key(actor=system_actor("tests"), environment=environment)
    ready_server(environment)
    err = io.StringIO()
    assert exit_code("github_secrets", "production", "--value", "SSH_KEY_PROD", err=err) == 1


def test_a_terminal_is_shown_no_secret(ready_server: Callable[[Environment], Server]) -> None:
    ready_server(Environment.objects.get(name="test"))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    assert exit_code("github_secrets", "test", "--value", "TEST_SERVER_HOST", out=out) == 2
    assert out.getvalue() == ""


def test_an_environment_without_one_server_is_told_what_to_do() -> None:
    assert exit_code("github_secrets", "test", "--value", "SSH_KEY_TEST") == 2
    assert exit_code("github_secrets", "staging") == 2


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.example", ("a.example", 22)),
        ("a:2222", ("a", 2222)),
        ("[::1]:22", ("::1", 22)),
        ("[fe80::1]", ("fe80::1", 22)),
    ],
)
def test_an_address_may_have_a_port(host: str, expected: tuple[str, int]) -> None:
    from engine.ssh.keys import generate_key

    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    values = {
        "SSH_KEY_TEST": generate_key()[0],
        "TEST_SERVER_HOST": host,
        "TEST_SERVER_USER": "rosey",
        "TEST_SERVER_HOST_KEY": key,
    }
    access = Access.from_environment("test", values)
    assert (access.host, access.port) == expected
    assert "PRIVATE" not in repr(access)
