"""Changing anything that was sealed voids the request: at the approval, and between approval and claim."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.environments.settings import configure_environment
from deployments.execution.claims import claim
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, AuditEvent, Deployment, Environment, Release, Secret, Server
from deployments.releases import artifacts
from deployments.requests.approvals import approve
from deployments.requests.rollbacks import request_rollback
from engine.errors import NotApproved
from tests.deployments.world import World
from tests.fixtures.records import HOST_KEY

Change = Callable[[World], object]


def _server(world: World, **fields: object) -> None:
    Server.objects.filter(environment=world.production).update(**fields)


def _configuration(world: World) -> None:
    configure_environment(
        actor=world.people["administrator"],
        environment=world.production,
        changes={"configuration": {"dice.json": {"sides": 12}}},
    )


def _secret(world: World) -> None:
    for version in (1, 2):
        Secret.objects.create(
            environment=world.production, name="dice-token", version=version, value="x" * 9, created_by="tests"
        )


def _second_server(world: World) -> None:
    Server.objects.create(
        name="production-2",
        environment=world.production,
        order=1,
        host="second.invalid",
        roles=["bot"],
        host_key=world.servers["production"].host_key,
        fingerprint=world.servers["production"].fingerprint,
        state=Server.State.PROVISIONED,
    )


def _other_artifact(world: World) -> None:
    """The file is replaced by another release's."""
    target, other = Path(world.releases[1].artifact.path), Path(world.releases[0].artifact.path)
    target.chmod(0o640)
    target.write_bytes(other.read_bytes())


CHANGES: dict[str, tuple[Change, str]] = {
    "the artifact on disk": (_other_artifact, "damaged"),
    "the artifact's digest": (
        lambda world: Release.objects.filter(pk=world.releases[1].pk).update(artifact_digest="0" * 64),
        "The release changed: artifact_digest.",
    ),
    "the release": (
        lambda world: Deployment.objects.update(release=world.releases[0]),
        "The release changed: artifact_digest, identifier, manifest_digest, version.",
    ),
    "the configuration": (_configuration, "The configuration changed: digest, files."),
    "the host key": (lambda world: _server(world, host_key="ssh-ed25519 AAAAother"), "changed: host_key."),
    "the address": (lambda world: _server(world, host="elsewhere.invalid"), "changed: host."),
    "the port": (lambda world: _server(world, port=2222), "changed: port."),
    "the account": (lambda world: _server(world, user="root"), "changed: user."),
    "the way there": (
        lambda world: _server(world, jump="ops@gate.invalid:22", jump_host_key=HOST_KEY),
        "Server production-1 changed: jump, jump_host_key.",
    ),
    "the unit files": (lambda world: _server(world, unit_files={"dice-bot.service": "0" * 64}), "changed: unit_files."),
    "the release that runs": (
        lambda world: _server(world, current_release=world.releases[0]),
        "Another release runs on production-1 now.",
    ),
    "how many approvals": (
        lambda world: Environment.objects.filter(name="production").update(approvals_required=2),
        "The policy changed: approvals_required.",
    ),
    "the bake": (
        lambda world: Environment.objects.filter(name="production").update(bake_seconds=1),
        "The policy changed: bake_seconds.",
    ),
    "a server retired": (lambda world: _server(world, state=Server.State.RETIRED), "has no server"),
    "a server's roles": (lambda world: _server(world, roles=["monitoring"]), "has no server"),
    "the snapshot itself": (
        lambda world: Deployment.objects.update(seal="0" * 64),
        "The stored snapshot itself was altered.",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_sealed_input_that_changed_voids_the_request_at_its_approval(what: str, world: World) -> None:
    change, sentence = CHANGES[what]
    row = world.request()
    change(world)
    with pytest.raises(NotApproved) as refused:
        approve(actor=world.people["approver"], deployment=row)
    assert refused.value.reason == "seal_broken"
    assert sentence in refused.value.message
    _assert_voided(row, sentence)
    assert not Approval.objects.exists()


@pytest.mark.parametrize("what", CHANGES)
def test_a_sealed_input_that_changed_after_the_approval_is_not_run(what: str, world: World) -> None:
    change, sentence = CHANGES[what]
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    change(world)
    assert claim(row.pk) is None
    _assert_voided(row, sentence)


def test_a_second_server_voids_the_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # the example bot refuses two servers with one account, which is not what this is about
    monkeypatch.setattr("deployments.requests.snapshots._refuse_second_account", lambda *_: None)
    row = world.request()
    _second_server(world)
    with pytest.raises(NotApproved, match=r"Server production-2 was added\."):
        approve(actor=world.people["approver"], deployment=row)


def test_a_secret_of_the_plan_voids_the_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with artifacts.open_release(world.releases[1]) as reader:
        role = reader.deploy.roles["bot"].model_copy(update={"secrets": ("dice-token",)})
        needy = reader.deploy.model_copy(update={"roles": {"bot": role}})
    monkeypatch.setattr("engine.artifacts.reader.ArtifactReader.deploy", needy)
    Secret.objects.create(
        environment=world.production, name="dice-token", version=1, value="first value", created_by="tests"
    )
    row = world.request()
    Secret.objects.create(
        environment=world.production, name="dice-token", version=2, value="second value", created_by="tests"
    )
    with pytest.raises(NotApproved, match=r"Server production-1 changed: secrets\."):
        approve(actor=world.people["approver"], deployment=row)


def test_nothing_changed_keeps_the_seal(world: World) -> None:
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    claimed = claim(row.pk)
    assert claimed is not None
    assert claimed.deployment.status == Status.RUNNING


def test_a_row_moved_to_queued_by_hand_is_not_run(world: World) -> None:
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    assert claim(row.pk) is None
    _assert_voided(row, "It has 0 of the 1 approvals it needs.")


def test_an_approval_written_by_hand_for_the_requester_does_not_count(world: World) -> None:
    row = world.request()
    Approval.objects.create(deployment=row, actor="colleague", decision="approved", seal=row.seal)
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    assert claim(row.pk) is None
    _assert_voided(row, "It has 0 of the 1 approvals it needs.")


def test_a_rollback_that_waits_is_queued_when_the_request_before_it_is_voided(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING, cancel_requested_by="")
    rollback = request_rollback(actor=world.people["operator"], environment=world.production, reason="it hangs")
    assert rollback.status == Status.AWAITING_APPROVAL
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED)
    _configuration(world)
    assert claim(row.pk) is None
    rollback.refresh_from_db()
    assert rollback.status == Status.QUEUED
    assert rollback.kind == Kind.ROLLBACK


def _assert_voided(row: Deployment, sentence: str) -> None:
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert row.outcome == "seal_broken"
    assert sentence in row.sentence
    event = AuditEvent.objects.get(name="deployment.voided", subject=f"deployment:{row.pk}")
    assert sentence in " ".join(event.data["changes"])
