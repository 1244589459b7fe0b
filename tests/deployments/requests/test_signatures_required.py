"""With signed approvals, not even whoever writes to the database gets a release into production."""

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from deployments.access import trust_anchor
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor
from deployments.environments.policies import change_policy, decide_policy_change
from deployments.execution.claims import claim
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, Environment, PolicyChange, Server, SigningKey
from deployments.people.signing_keys import revoke_key
from deployments.people.trusted_keys import anchor_servers, trust_key
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from deployments.requests.signed_approvals import signatures_needed
from deployments.snapshot import seal
from engine.errors import InvalidRequest, NotAllowed, PortalError
from tests.deployments.world import World
from tests.fixtures.signers import Signer, make_signer

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
SHELL = Actor("shell", "root")


def _require_signatures(world: World, required: bool = True) -> PolicyChange | None:
    return change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=1,
        approval_hours=24,
        signed_approvals=required,
        reason="x",
    )


@pytest.fixture
def signer(world: World, tmp_path: Path) -> Signer:
    """The approver, whose key counts on this machine; production is anchored, and had an unsigned success before."""
    Server.objects.filter(environment__name="test").update(host_key=_host_key(tmp_path / "host"))
    world.succeeded(world.releases[0])
    made = make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"])
    trust_key(actor=SHELL, fingerprint=made.key.fingerprint)
    _require_signatures(world)
    anchor_servers(actor=SHELL)
    return made


def _host_key(path: Path) -> str:
    """Another one."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def _approved_by_hand(row: Deployment, signature: str = "", actor: str = "approver") -> None:
    """As whoever owns the tables writes it, the audit trail too."""
    approved = {"decision": Approval.Decision.APPROVED, "seal": row.seal, "signature": signature}
    Approval.objects.update_or_create(deployment=row, actor=actor, defaults=approved)
    with transaction.atomic():
        trail.record(
            actor=Actor("user", actor),
            name="deployment.approved",
            subject=f"deployment:{row.pk}",
            environment=row.environment,
            data={"seal": row.seal},
        )
    Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED, finished_at=None)


def _unsigned(world: World, signer: Signer, directory: Path) -> None:
    _approved_by_hand(world.request())


def _replayed(world: World, signer: Signer, directory: Path) -> None:
    other = world.request()
    _approved_by_hand(world.request(), signer.signature(other))


def _key_by_hand(world: World, signer: Signer, directory: Path) -> None:
    mine = make_signer(world.people["superuser"], directory, confirmed_by=None)
    SigningKey.objects.filter(pk=mine.key.pk).update(person="approver", confirmed_at=timezone.now())
    row = world.request()
    _approved_by_hand(row, mine.signature(row, person="approver"))


def _revoked(world: World, signer: Signer, directory: Path) -> None:
    row = world.request()
    signature = signer.signature(row)
    revoke_key(actor=signer.person, key=signer.key)
    _approved_by_hand(row, signature)


def _other_seal(world: World, signer: Signer, directory: Path) -> None:
    """What was signed is exchanged afterwards, snapshot and seal together."""
    row = world.request()
    signature = signer.signature(row)
    Environment.objects.filter(name="production").update(bake_seconds=1)
    changed = row.snapshot | {"policy": row.snapshot["policy"] | {"bake_seconds": 1}}
    Deployment.objects.filter(pk=row.pk).update(snapshot=changed, seal=seal(changed))
    row.refresh_from_db()
    _requested_by_hand(row)
    _approved_by_hand(row, signature)


def _too_late(world: World, signer: Signer, directory: Path) -> None:
    """A consent of yesterday, whose end is written anew."""
    row = world.request()
    signature = signer.signature(row)
    Deployment.objects.filter(pk=row.pk).update(expires_at=timezone.now() + timedelta(days=30))
    _approved_by_hand(row, signature)


def _long_ago(world: World, signer: Signer, directory: Path) -> None:
    """And as it was."""
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(hours=2))
    row.refresh_from_db()
    _approved_by_hand(row, signer.signature(row))


def _requested_by_hand(row: Deployment, name: str = "deployment.requested") -> None:
    with transaction.atomic():
        data = {"seal": row.seal}
        trail.record(
            actor=Actor("user", row.requested_by), name=name, subject=f"deployment:{row.pk}", environment="x", data=data
        )


def _policy_by_hand(world: World, signer: Signer, directory: Path) -> None:
    Environment.objects.filter(name="production").update(approvals_required=0, signed_approvals=False)
    request_deployment(
        actor=world.people["operator"], release=world.releases[1], environment=world.production, reason="x"
    )


def _break_glass_by_hand(world: World, signer: Signer, directory: Path) -> None:
    Environment.objects.filter(name="production").update(signed_approvals=False)
    world.request("requester", break_glass=True)


def _through_test(world: World, signer: Signer, directory: Path) -> None:
    """Production's server is made one of the environment that asks for nobody."""
    Server.objects.filter(environment__name="test").delete()
    Server.objects.filter(environment__name="production").update(environment=world.test)
    world.request("operator", environment="test")


def _success_by_hand(world: World, signer: Signer, directory: Path) -> None:
    """A success that never was, to go back to."""
    world.succeeded(world.releases[1])
    world.succeeded(world.releases[0])
    request_rollback(actor=world.people["operator"], environment=world.production, reason="x", to=world.releases[1])


def _success_elsewhere_by_hand(world: World, signer: Signer, directory: Path) -> None:
    """Its snapshot names a server that takes no signatures."""
    made = world.succeeded(world.releases[1])
    open_key = Server.objects.get(environment=world.test).host_key
    changed = made.snapshot | {"targets": [each | {"host_key": open_key} for each in made.snapshot["targets"]]}
    Deployment.objects.filter(pk=made.pk).update(snapshot=changed, seal=seal(changed))
    made.approvals.update(seal=seal(changed))
    made.refresh_from_db()
    _requested_by_hand(made)
    with transaction.atomic():
        data = {"seal": made.seal}
        subject = f"deployment:{made.pk}"
        trail.record(actor=Actor("user", "somebody else"), name="deployment.approved", subject=subject, data=data)
    world.succeeded(world.releases[0])
    request_rollback(actor=world.people["operator"], environment=world.production, reason="x", to=world.releases[1])


def _rollback_by_hand(world: World, signer: Signer, directory: Path) -> None:
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(kind=Kind.ROLLBACK, status=Status.QUEUED)
    _requested_by_hand(row, "rollback.requested")


def _another_host_key(world: World, signer: Signer, directory: Path) -> None:
    """A server has several: one that this machine was not told of is pinned, and the policy is written anew."""
    Server.objects.filter(environment=world.production).update(host_key=_host_key(directory / "other"))
    _policy_by_hand(world, signer, directory)


def _the_same_host_key(world: World, signer: Signer, directory: Path) -> None:
    """Written in another way."""
    server = Server.objects.get(environment=world.production)
    Server.objects.filter(pk=server.pk).update(host_key=f"{server.host_key}  a comment")
    _policy_by_hand(world, signer, directory)


WAYS: list[Callable[[World, Signer, Path], None]] = [
    *(_unsigned, _replayed, _key_by_hand, _revoked, _other_seal),
    *(
        _policy_by_hand,
        _break_glass_by_hand,
        _through_test,
        _success_by_hand,
        _success_elsewhere_by_hand,
        _rollback_by_hand,
    ),
    *(_another_host_key, _the_same_host_key, _too_late, _long_ago),
]


@pytest.mark.parametrize("way", WAYS)
def test_whoever_writes_the_tables_gets_nothing_into_production(
    way: Callable[[World, Signer, Path], None], signer: Signer, world: World, tmp_path: Path
) -> None:
    refused = ""
    try:
        way(world, signer, tmp_path)
    except PortalError as error:
        refused = str(error)
    queued = Deployment.objects.filter(status=Status.QUEUED)
    assert refused or queued.exists(), "the way itself has to be one"
    for row in queued:
        assert claim(row.pk) is None
        row.refresh_from_db()
        assert "sign" in row.sentence or "rollback target" in row.sentence, row.sentence
    assert not refused or "rollback target" in refused


def test_with_a_signature_it_begins_and_is_a_way_back(signer: Signer, world: World) -> None:
    row = world.request()
    with pytest.raises(NotAllowed, match="signed approvals only"):
        approve(actor=signer.person, deployment=row)
    approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    won = claim(row.pk)
    assert won is not None
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now(), claim=None)
    with transaction.atomic():
        trail.record(actor=SHELL, name="deployment.succeeded", subject=f"deployment:{row.pk}", environment="production")
    Server.objects.filter(environment=world.production).update(current_release=world.releases[1])
    back = request_rollback(actor=world.people["operator"], environment=world.production, reason="x")
    assert back.release == world.releases[0], "what succeeded before the server was anchored stays a rollback target"
    assert claim(back.pk) is not None
    Deployment.objects.filter(pk=back.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now(), claim=None)
    forward = request_rollback(
        actor=world.people["operator"], environment=world.production, reason="x", to=world.releases[1]
    )
    assert forward.release == world.releases[1], "a signed success is one"


def test_what_runs_is_what_was_checked(signer: Signer, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that exchanges the snapshot while the row is claimed changes nothing that is run."""
    row = world.request()
    approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    sealed, move = row.snapshot, Deployment.objects.move

    def exchanging(pk: int, target: Status, **fields: object) -> bool:
        Deployment.objects.filter(pk=pk).update(snapshot={}, release=world.releases[0])
        return move(pk, target, **fields)  # type: ignore[arg-type]  # as it is called

    monkeypatch.setattr(Deployment.objects, "move", exchanging)
    won = claim(row.pk)
    assert won is not None
    assert (won.deployment.snapshot, won.deployment.release) == (sealed, world.releases[1])


def test_the_policy_is_loosened_by_two_and_asked_for_only_where_somebody_can_sign(world: World, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="0 approvers have a signing key"):
        _require_signatures(world)
    made = make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"])
    with pytest.raises(InvalidRequest):
        _require_signatures(world)
    trust_key(actor=SHELL, fingerprint=made.key.fingerprint)
    _require_signatures(world)
    with pytest.raises(InvalidRequest, match="break-glass has none"):
        world.request("requester", break_glass=True)
    waiting = _require_signatures(world, False)
    assert waiting is not None, "a second person decides"
    assert world.production.signed_approvals
    decide_policy_change(actor=world.people["approver"], change=waiting, approve=True)
    assert not world.production.signed_approvals


def test_the_environment_that_asks_for_nobody_goes_on(signer: Signer, world: World) -> None:
    assert claim(world.request("operator", environment="test").pk) is not None


def test_the_files_of_the_machine_are_said_on_its_shell(signer: Signer, world: World, state_dir: Path) -> None:
    path = state_dir / "allowed_signers"
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_text() == f'approver namespaces="approval@cytube-ops" {signer.key.public_key}\n'
    print_of = ("--fingerprint", signer.key.fingerprint)
    assert world.command("shell", "approvals", "distrust", *print_of)[0] == 0
    row = world.request()
    with pytest.raises(NotAllowed, match="does not count on this machine"):
        approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    assert world.command("shell", "approvals", "trust", *print_of)[0] == 0
    code, told = world.command("shell", "approvals", "anchor")
    assert (code, json.loads(told)) == (0, {"signed_approvals": {"test-1": 0, "production-1": 1}})
    assert trust_anchor.trusted_keys("approver") == [signer.key.public_key]
    assert world.command("shell", "approvals", "trust", "--fingerprint", "SHA256:none")[0] == 2
    assert world.command("shell", "approvals", "trust")[0] == 2


@pytest.mark.parametrize("name", ["os.system", "subprocess.call", "deployments.tasks.timezone.now", "builtins.eval"])
def test_the_schedule_names_tasks_of_ours_only(name: str) -> None:
    assert queueing.task_named(name) is None


def test_every_task_of_ours_is_found_by_the_workers() -> None:
    from django_q import worker

    names = {task for task, _, _ in queueing.SCHEDULES.values()} | {queueing.EXECUTE, "deployments.tasks.cancel_remote"}
    assert all(callable(worker.pydoc.locate(name)) for name in names)
    assert worker.pydoc.locate("os.system") is None


def test_of_a_success_those_servers_count_that_a_way_back_to_it_would_reach_now(
    signer: Signer, world: World, tmp_path: Path
) -> None:
    success = world.succeeded(world.releases[0], "test")
    assert signatures_needed(success, success.sealed) == 0, (
        "this machine knows the server, and that nobody signs for it"
    )
    there = Server.objects.filter(environment=world.test)
    there.update(host_key=_host_key(tmp_path / "stranger"))
    assert signatures_needed(success, success.sealed) == 1, "of another machine it knows nothing"
    there.update(state=Server.State.RETIRED)
    assert signatures_needed(success, success.sealed) == 0
