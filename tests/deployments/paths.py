"""How each verb is tried by each path: every function returns whether it had its effect."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from alerting.models import Alert, Incident
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor
from deployments.environments.locks import lock_environment
from deployments.environments.policies import change_policy
from deployments.lifecycle import Kind, Status
from deployments.models import (
    ApiToken,
    AuditEvent,
    Deployment,
    Environment,
    NotificationChannel,
    PolicyChange,
    Release,
    Scope,
    Secret,
    Server,
    SigningKey,
)
from deployments.operations.data import Backup
from deployments.people.signing_keys import add_key
from engine.ssh.keys import generate_key
from tests.deployments.world import World
from tests.fixtures.records import hand_token, whole

Try = Callable[[World, str], bool]
TRIES: dict[tuple[str, str], Try] = {}
FINGERPRINT = "SHA256:" + "a" * 43


def tried(verb: str, path: str) -> Callable[[Try], Try]:
    """Register a way to try a verb."""

    def register(function: Try) -> Try:
        TRIES[verb, path] = function
        return function

    return register


def page(world: World, who: str, model: str, obj: Any, slug: str, **data: Any) -> None:
    """Send a confirmation page of the admin."""
    world.client(who).post(reverse(f"admin:{model}_{slug}", args=[obj.pk]), data)


def bulk(world: World, who: str, model: str, obj: Any, action: str, **data: Any) -> None:
    """Run a bulk action on one ticked row and confirm it."""
    sent = {"action": f"bulk_{action}", "_selected_action": [obj.pk], "confirmed": "1", **data}
    world.client(who).post(reverse(f"admin:{model}_changelist"), sent)


def asker(who: str) -> str:
    """Whose request it is: the requester's own, or a colleague's."""
    return "requester" if who == "requester" else "colleague"


def environment_for(who: str) -> str:
    """The open environment for the shell's first column, else the protected one."""
    return "test" if who == "shell, open" else "production"


def status(row: Deployment) -> str:
    """As it is now."""
    return Deployment.objects.get(pk=row.pk).status


def requested_by(world: World, who: str) -> bool:
    """Whether there is a request by this actor."""
    name = "shell:" if who.startswith("shell") else world.people[who].name
    return Deployment.objects.filter(requested_by__startswith=name).exists()


# view


@tried("view", "admin")
def _(world: World, who: str) -> bool:
    row = world.request()
    address = reverse("admin:deployments_deployment_change", args=[row.pk])
    answer = world.client(who).get(address, follow=True)
    return answer.status_code == 200 and answer.request["PATH_INFO"] == f"/deployments/{row.pk}/"


@tried("view", "api")
def _(world: World, who: str) -> bool:
    row = world.request()
    return bool(world.api(who, "get", f"/deployments/{row.pk}").status_code == 200)


# request, break-glass


@tried("request", "admin")
def _(world: World, who: str) -> bool:
    number = world.releases[1].pk
    page(world, who, "deployments_environment", world.production, "request", release=number, plan_of=number, reason="x")
    return requested_by(world, who)


@tried("request", "api")
def _(world: World, who: str) -> bool:
    body = {"environment": "production", "release": world.releases[1].identifier, "reason": "x"}
    world.api(who, "post", "/deployments", body)
    return requested_by(world, who)


@tried("request", "command")
def _(world: World, who: str) -> bool:
    world.command(who, "deploy", environment_for(who), "--release", world.releases[1].identifier, "--no-wait")
    return requested_by(world, who)


@tried("break_glass", "admin")
def _(world: World, who: str) -> bool:
    number = world.releases[1].pk
    data = {"release": number, "plan_of": number, "reason": "x", "break_glass": "on"}
    page(world, who, "deployments_environment", world.production, "request", **data)
    return Deployment.objects.filter(break_glass=True, status=Status.QUEUED).exists()


# cancel, roll back, verify


@tried("cancel", "admin")
def _(world: World, who: str) -> bool:
    row = world.request()
    page(world, who, "deployments_deployment", row, "cancel")
    return status(row) == Status.CANCELLED


@tried("cancel", "bulk")
def _(world: World, who: str) -> bool:
    row = world.request()
    bulk(world, who, "deployments_deployment", row, "cancel")
    return status(row) == Status.CANCELLED


@tried("cancel", "api")
def _(world: World, who: str) -> bool:
    row = world.request()
    world.api(who, "post", f"/deployments/{row.pk}/cancel")
    return status(row) == Status.CANCELLED


@tried("cancel", "command")
def _(world: World, who: str) -> bool:
    row = world.request(environment=environment_for(who))
    world.command(who, "cancel", row.pk)
    return status(row) == Status.CANCELLED


def _ran(world: World, environment: str = "production") -> None:
    world.succeeded(world.releases[0], environment)
    world.succeeded(world.releases[1], environment)


def _rollback_made() -> bool:
    return Deployment.objects.filter(kind=Kind.ROLLBACK, status=Status.QUEUED).exists()


@tried("roll_back", "admin")
def _(world: World, who: str) -> bool:
    _ran(world)
    page(world, who, "deployments_environment", world.production, "roll_back", release="", reason="x")
    return _rollback_made()


@tried("roll_back", "api")
def _(world: World, who: str) -> bool:
    _ran(world)
    world.api(who, "post", "/rollbacks", {"environment": "production", "reason": "x"})
    return _rollback_made()


@tried("roll_back", "command")
def _(world: World, who: str) -> bool:
    _ran(world, environment_for(who))
    world.command(who, "rollback", environment_for(who), "--reason", "x", "--no-wait")
    return _rollback_made()


@tried("verify", "admin")
def _(world: World, who: str) -> bool:
    # nothing is deployed, so nobody is connected to: that it is said proves that the question was allowed
    answer = world.client(who).post(reverse("admin:deployments_environment_verify", args=[world.production.pk]))
    return answer.status_code == 302 and answer["Location"].startswith("/admin/deployments/environment/")


@tried("verify", "bulk")
def _(world: World, who: str) -> bool:
    data = {"action": "bulk_verify", "_selected_action": [world.production.pk], "confirmed": "1"}
    answer = world.client(who).post(reverse("admin:deployments_environment_changelist"), data, follow=True)
    return b"Nothing has been deployed to production yet" in answer.content


@tried("verify", "command")
def _(world: World, who: str) -> bool:
    return world.command_passes(who, "verify", environment_for(who))


# operate


def _operated(who: str) -> bool:
    return AuditEvent.objects.filter(name="service.restart_requested").exists()


@tried("operate", "admin")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    page(world, who, "deployments_server", world.servers["production"], "restart", reason="")
    return _operated(who)


@tried("operate", "api")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    world.api(who, "post", f"/servers/{world.servers['production'].name}/restart", {})
    return _operated(who)


@tried("operate", "command")
def _(world: World, who: str) -> bool:
    environment = environment_for(who)
    world.succeeded(world.releases[0], environment)
    Server.objects.filter(environment__name=environment).update(host="127.0.0.1", port=1)
    world.command(who, "restart", environment)
    return _operated(who)


# commands


def _commanded(who: str) -> bool:
    return AuditEvent.objects.filter(name="service.run_requested").exists()


def _open(who: str) -> str:
    """Where no approval is needed: elsewhere nobody may."""
    return "production" if who == "shell, protected" else "test"


@tried("run", "admin")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0], "test")
    server = Server.objects.get(environment__name="test")
    page(world, who, "deployments_server", server, "run", command="id -un", unit="dice-bot.service", reason="")
    return _commanded(who)


@tried("run", "api")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0], "test")
    server = Server.objects.get(environment__name="test")
    world.api(who, "post", f"/servers/{server.name}/commands", {"command": ["id", "-un"]})
    return _commanded(who)


@tried("run", "command")
def _(world: World, who: str) -> bool:
    environment = _open(who)
    world.succeeded(world.releases[0], environment)
    Server.objects.filter(environment__name=environment).update(host="127.0.0.1", port=1)
    world.command(who, "run", environment, "--", "id", "-un")
    return _commanded(who)


# data


def _restoring(who: str) -> bool:
    return AuditEvent.objects.filter(name="service.restore_requested").exists()


@tried("restore_data", "admin")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    backup = Backup("20260504T120000Z-1", timezone.now(), "1", ["rolls.db"], 1, whole=True)
    with mock.patch("deployments.admin.operations.backups_on", return_value=[backup]):
        page(
            world,
            who,
            "deployments_server",
            world.servers["production"],
            "restore_data",
            backup=backup.name,
            reason="x",
        )
    return _restoring(who)


@tried("restore_data", "api")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    body = {"backup": "20260504T120000Z-1", "reason": "x"}
    world.api(who, "post", f"/servers/{world.servers['production'].name}/restore", body)
    return _restoring(who)


@tried("restore_data", "command")
def _(world: World, who: str) -> bool:
    environment = environment_for(who)
    world.succeeded(world.releases[0], environment)
    server = Server.objects.get(environment__name=environment)
    world.command(who, "restore_data", server.name, "20260504T120000Z-1", "--reason", "x")
    return _restoring(who)


# the journal


@tried("read_journal", "page")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    url = reverse("journal", args=[world.servers["production"].name])
    return world.client(who).get(url).status_code != 403


@tried("read_journal", "api")
def _(world: World, who: str) -> bool:
    world.succeeded(world.releases[0])
    return bool(world.api(who, "get", f"/servers/{world.servers['production'].name}/journal").status_code != 403)


@tried("read_journal", "command")
def _(world: World, who: str) -> bool:
    environment = environment_for(who)
    world.succeeded(world.releases[0], environment)
    return world.command_passes(who, "logs", environment)


# locks


@tried("lock", "admin")
def _(world: World, who: str) -> bool:
    page(world, who, "deployments_environment", world.production, "lock", reason="x")
    return world.production.locked


@tried("lock", "bulk")
def _(world: World, who: str) -> bool:
    bulk(world, who, "deployments_environment", world.production, "lock", reason="x")
    return world.production.locked


@tried("lock", "api")
def _(world: World, who: str) -> bool:
    world.api(who, "post", "/environments/lock", {"environment": "production", "reason": "x"})
    return world.production.locked


@tried("lock", "command")
def _(world: World, who: str) -> bool:
    world.command(who, "lock", environment_for(who), "--reason", "x")
    return Environment.objects.get(name=environment_for(who)).locked


@tried("unlock", "admin")
def _(world: World, who: str) -> bool:
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    page(world, who, "deployments_environment", world.production, "unlock", reason="x")
    return not world.production.locked


@tried("unlock", "bulk")
def _(world: World, who: str) -> bool:
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    bulk(world, who, "deployments_environment", world.production, "unlock", reason="x")
    return not world.production.locked


@tried("unlock", "api")
def _(world: World, who: str) -> bool:
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    world.api(who, "post", "/environments/unlock", {"environment": "production", "reason": "x"})
    return not world.production.locked


@tried("unlock", "command")
def _(world: World, who: str) -> bool:
    home = Environment.objects.get(name=environment_for(who))
    lock_environment(actor=world.people["operator"], environment=home, reason="exams")
    world.command(who, "unlock", home, "--reason", "x")
    return not Environment.objects.get(pk=home.pk).locked


# decisions


@tried("approve", "admin")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    page(world, who, "deployments_deployment", row, "approve", comment="")
    return status(row) == Status.QUEUED


@tried("approve", "api")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    world.api(who, "post", f"/deployments/{row.pk}/approvals", {"decision": "approved"})
    return status(row) == Status.QUEUED


@tried("approve", "command")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    world.command(who, "approve", row.pk)
    return status(row) == Status.QUEUED


@tried("reject", "admin")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    page(world, who, "deployments_deployment", row, "reject", comment="no")
    return status(row) == Status.REJECTED


@tried("reject", "bulk")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    bulk(world, who, "deployments_deployment", row, "reject", comment="no")
    return status(row) == Status.REJECTED


@tried("reject", "api")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    world.api(who, "post", f"/deployments/{row.pk}/approvals", {"decision": "rejected", "comment": "no"})
    return status(row) == Status.REJECTED


@tried("reject", "command")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who))
    world.command(who, "reject", row.pk, "--reason", "no")
    return status(row) == Status.REJECTED


@tried("review", "admin")
def _(world: World, who: str) -> bool:
    row = world.request(asker(who), break_glass=True)
    page(world, who, "deployments_deployment", row, "review", comment="")
    return Deployment.objects.get(pk=row.pk).reviewed_at is not None


# configuration and policy


@tried("configure", "admin")
def _(world: World, who: str) -> bool:
    sent = {"configuration": '{"dice.json": {"sides": 12}}', "bake_seconds": 300, "bake_action": "rollback", "order": 1}
    sent |= {"batch": 10}
    address = reverse("admin:deployments_environment_change", args=[world.production.pk])
    world.client(who).post(address, sent)
    return bool(world.production.configuration == {"dice.json": {"sides": 12}})


def _policy(world: World, who: str, approvals: int) -> None:
    data = {"approvals_required": approvals, "approval_hours": 24, "max_failures": 0, "reason": "x"}
    data |= {"releases_from": "versions"}
    page(world, who, "deployments_environment", world.production, "policy", **data)


@tried("tighten_policy", "admin")
def _(world: World, who: str) -> bool:
    _policy(world, who, 2)
    return world.production.approvals_required == 2


@tried("loosen_policy", "admin")
def _(world: World, who: str) -> bool:
    _policy(world, who, 0)
    assert world.production.approvals_required == 1, "nobody loosens it alone"
    return PolicyChange.objects.filter(state=PolicyChange.State.WAITING).exists()


@tried("decide_policy", "admin")
def _(world: World, who: str) -> bool:
    change = change_policy(
        actor=world.people[asker(who)],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
    )
    page(world, who, "deployments_policychange", change, "agree", comment="")
    return world.production.approvals_required == 0


@tried("manage_channels", "admin")
def _(world: World, who: str) -> bool:
    sent = {"name": "chat", "url": "json://localhost/x", "environment": "", "enabled": "on"}
    world.client(who).post(reverse("admin:deployments_notificationchannel_add"), sent)
    return NotificationChannel.objects.exists()


# releases, servers, secrets


def _taken_out(world: World) -> tuple[Path, str]:
    """An artifact that the portal does not have any more."""
    release = world.releases.pop()
    kept = Path(release.artifact.path).with_suffix(".kept")
    kept.write_bytes(whole(release))
    Release.objects.filter(pk=release.pk).delete()
    return kept, release.artifact_digest


@tried("add_release", "api")
def _(world: World, who: str) -> bool:
    path, digest = _taken_out(world)
    sent = {"sha256": digest, "artifact": SimpleUploadedFile("artifact.tar", path.read_bytes())}
    Client().post("/api/v1/releases", sent, headers={"Authorization": f"Bearer {world.token(who)}"})
    return Release.objects.filter(artifact_digest=digest).exists()


@tried("add_release", "command")
def _(world: World, who: str) -> bool:
    path, digest = _taken_out(world)
    world.command(who, "add_release", path, "--sha256", digest)
    return Release.objects.filter(artifact_digest=digest).exists()


@tried("manage_environments", "admin")
def _(world: World, who: str) -> bool:
    page(world, who, "deployments_environment", world.production, "rename", name="renamed")
    return Environment.objects.filter(name="renamed").exists()


@tried("manage_environments", "api")
def _(world: World, who: str) -> bool:
    wanted = {"environment": "production", "name": "renamed"}
    return bool(world.api(who, "post", "/environments/rename", wanted).status_code == 200)


@tried("manage_environments", "command")
def _(world: World, who: str) -> bool:
    return world.command_passes(who, "environments", "rename", environment_for(who), "renamed")


@tried("enrol", "admin")
def _(world: World, who: str) -> bool:
    where = {"environment": world.production.pk, "name": "new-1", "host": "127.0.0.1", "port": 1, "roles": ["bot"]}
    address = reverse("admin:deployments_server_add")
    return bool(world.client(who).post(address, {**where, "fingerprint": FINGERPRINT}).status_code == 502)


@tried("enrol", "command")
def _(world: World, who: str) -> bool:
    where = ("--environment", environment_for(who), "--host", "127.0.0.1", "--port", "1")
    return world.command_passes(who, "enroll", "new-1", *where, "--fingerprint", FINGERPRINT)


@tried("provision", "admin")
def _(world: World, who: str) -> bool:
    sent = {"account": "root", "key": generate_key("tests")[0], "passphrase": "", "password": ""}
    page(world, who, "deployments_server", world.servers["production"], "provision", **sent)
    return AuditEvent.objects.filter(name="service.provision_requested").exists()


@tried("provision", "command")
def _(world: World, who: str) -> bool:
    key = Path(world.releases[0].artifact.path).with_name("bootstrap.key")
    key.write_text(generate_key("tests")[0])
    server = world.servers[environment_for(who)]
    Server.objects.filter(pk=server.pk).update(host="127.0.0.1", port=1)
    return world.command_passes(who, "provision", server.name, "--bootstrap-key", key)


@tried("move_portal", "command")
def _(world: World, who: str) -> bool:
    return world.command_passes(who, "install_portal", world.servers[environment_for(who)].name)


@tried("set_secret", "admin")
def _(world: World, who: str) -> bool:
    Server.objects.update(state=Server.State.ENROLLED)
    page(world, who, "deployments_environment", world.production, "secret", name="cytube-password", value="x")
    return Secret.objects.exists()


@tried("set_secret", "command")
def _(world: World, who: str) -> bool:
    world.command(who, "set_secret", environment_for(who), "cytube-password")
    return Secret.objects.exists()


@tried("decommission", "admin")
def _(world: World, who: str) -> bool:
    page(world, who, "deployments_server", world.servers["production"], "decommission", understood="on")
    return Server.objects.filter(environment=world.production, state=Server.State.RETIRED).exists()


@tried("decommission", "command")
def _(world: World, who: str) -> bool:
    server = world.servers[environment_for(who)]
    world.command(who, "decommission", server.name, "--record-only")
    return Server.objects.filter(pk=server.pk, state=Server.State.RETIRED).exists()


@tried("rotate_keys", "command")
def _(world: World, who: str) -> bool:
    return world.command_passes(who, "rotate_keys", environment_for(who))


# tokens and people


def _make_token(world: World, who: str, **data: Any) -> None:
    sent = {"name": "made here", "scopes": ["read"], "days": 30, "environment": "", **data}
    world.client(who).post(reverse("admin:deployments_apitoken_add"), sent)


def _revoked(token: ApiToken) -> bool:
    return ApiToken.objects.get(pk=token.pk).revoked_at is not None


@tried("own_token", "admin")
def _(world: World, who: str) -> bool:
    _make_token(world, who, holder=f"person:{world.people[who].name}")
    return ApiToken.objects.filter(name="made here", owner=world.user(who)).exists()


@tried("own_token", "bulk")
def _(world: World, who: str) -> bool:
    hand_token(world.user(who), "own")
    token = ApiToken.objects.get(name="own")
    bulk(world, who, "deployments_apitoken", token, "revoke")
    return _revoked(token)


@tried("manage_tokens", "admin")
def _(world: World, who: str) -> bool:
    _make_token(world, who, holder=f"server:{world.servers['production'].pk}", scopes=["heartbeat"])
    return ApiToken.objects.filter(name="made here", server=world.servers["production"]).exists()


@tried("manage_tokens", "bulk")
def _(world: World, who: str) -> bool:
    token, _ = issue_token(actor=system_actor("tests"), name="bot's", scopes=[Scope.HEARTBEAT])
    bulk(world, who, "deployments_apitoken", token, "revoke")
    return _revoked(token)


@tried("manage_people", "admin")
def _(world: World, who: str) -> bool:
    world.client(who).post(reverse("admin:auth_user_add"), {"username": "newcomer", "roles": ["viewer"]})
    return User.objects.filter(username="newcomer", groups__name="viewer").exists()


# signing keys


@tried("own_key", "admin")
def _(world: World, who: str) -> bool:
    sent = {"name": "here", "public_key": generate_key()[1]}
    world.client(who).post(reverse("admin:deployments_signingkey_add"), sent)
    return SigningKey.objects.filter(person=world.people[who].name).exists()


@tried("confirm_key", "admin")
def _(world: World, who: str) -> bool:
    # the requester tries their own
    owner = world.people["requester" if who == "requester" else "superuser" if who == "approver" else "approver"]
    key = add_key(actor=owner, name="theirs", public_key=generate_key()[1])
    page(world, who, "deployments_signingkey", key, "confirm", fingerprint=key.fingerprint)
    return SigningKey.objects.get(pk=key.pk).confirmed_at is not None


# audit


@tried("read_audit", "admin")
def _(world: World, who: str) -> bool:
    return world.client(who).get(reverse("admin:deployments_auditevent_verify")).status_code == 200


@tried("read_audit", "api")
def _(world: World, who: str) -> bool:
    return bool(world.api(who, "get", "/audit").status_code == 200)


@tried("read_audit", "command")
def _(world: World, who: str) -> bool:
    return world.command(who, "audit", "verify")[0] == 0


@tried("export_audit", "admin")
def _(world: World, who: str) -> bool:
    answer = world.client(who).post(reverse("admin:deployments_auditevent_export"))
    return answer.status_code == 200 and b'"head"' in answer.getvalue()


@tried("export_audit", "command")
def _(world: World, who: str) -> bool:
    return world.command(who, "audit", "export")[0] == 0


# alerts


def _firing(world: World) -> Alert:
    return Alert.objects.create(
        fingerprint="ab",
        name="BotDown",
        severity="critical",
        status=Alert.Status.FIRING,
        environment=world.production,
        starts_at=timezone.now(),
    )


@tried("acknowledge", "page")
def _(world: World, who: str) -> bool:
    alert = _firing(world)
    sent = {"comment": "on it", "minutes": "60"}
    world.client(who).post(reverse("alert-act", args=[alert.pk, "acknowledge"]), sent)
    return alert.acknowledgements.exists()


@tried("acknowledge", "api")
def _(world: World, who: str) -> bool:
    alert = _firing(world)
    world.api(who, "post", f"/alerts/{alert.pk}/acknowledgement", {"comment": "on it", "minutes": 60})
    return alert.acknowledgements.exists()


@tried("acknowledge", "command")
def _(world: World, who: str) -> bool:
    alert = _firing(world)
    world.command(who, "alerts", "acknowledge", alert.pk, "--comment", "on it")
    return alert.acknowledgements.exists()


class Taking(BaseHTTPRequestHandler):
    """Takes every silence, as Alertmanager's API v2 would; who may make one is the portal's matter."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"silenceID": "6f0e4f0b-5f0c-4a52-9b1c-0c1b5a3f2d11"}')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _alertmanager() -> Iterator[None]:
    now = timezone.now()
    Alert.objects.get_or_create(name="BotDown", fingerprint="known", status="resolved", ends_at=now, starts_at=now)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with override_settings(ALERTMANAGER_URL=f"http://127.0.0.1:{server.server_port}"):
            yield
    finally:
        server.shutdown()
        server.server_close()


SILENCED = {"alertname": "BotDown", "environment": "production", "reason": "x", "minutes": 60}


@tried("silence", "page")
def _(world: World, who: str) -> bool:
    with _alertmanager():
        world.client(who).post(reverse("silences"), {**SILENCED, "do": "silence"})
    return AuditEvent.objects.filter(name="silence.made").exists()


@tried("silence", "api")
def _(world: World, who: str) -> bool:
    with _alertmanager():
        world.api(who, "post", "/silences", SILENCED)
    return AuditEvent.objects.filter(name="silence.made").exists()


@tried("silence", "command")
def _(world: World, who: str) -> bool:
    with _alertmanager():
        world.command(who, "silences", "make", "alertname=BotDown", "environment=production", "--reason", "x")
    return AuditEvent.objects.filter(name="silence.made").exists()


# incidents


def _opened() -> bool:
    return Incident.objects.filter(title="Silent").exists()


@tried("manage_incidents", "page")
def _(world: World, who: str) -> bool:
    sent = {"title": "Silent", "text": "x", "severity": "minor", "environment": world.production.pk}
    world.client(who).post(reverse("incident-new"), sent)
    return _opened()


@tried("manage_incidents", "api")
def _(world: World, who: str) -> bool:
    body = {"title": "Silent", "text": "x", "severity": "minor", "environments": ["production"]}
    world.api(who, "post", "/incidents", body)
    return _opened()


@tried("manage_incidents", "command")
def _(world: World, who: str) -> bool:
    more = ("--text", "x", "--severity", "minor", "--environment", environment_for(who))
    world.command(who, "incident", "open", "Silent", *more)
    return _opened()
