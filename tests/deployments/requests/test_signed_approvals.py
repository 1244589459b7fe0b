"""An approval signs the seal: real keys, real ssh-keygen, and a check of the export that imports nothing of ours."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deployments.access.export import export
from deployments.access.signatures import problem_with
from deployments.lifecycle import Status
from deployments.models import Approval, AuditEvent, SigningKey
from deployments.people.accounts import change_person
from deployments.people.recovery import recover
from deployments.people.signing_keys import add_key, confirm_key, revoke_key
from deployments.requests.approvals import approve
from engine.errors import Conflict, InvalidRequest, NotAllowed, PortalError
from tests.deployments.world import World
from tests.fixtures.signers import Signer, make_signer

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def signer(world: World, tmp_path: Path) -> Signer:
    """The approver with a key that the administrator confirmed."""
    return make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_command_line_signs_and_anybody_verifies_the_export(kind: str, world: World, tmp_path: Path) -> None:
    signer = make_signer(world.people["approver"], tmp_path, confirmed_by=world.people["administrator"], kind=kind)
    row = world.request()
    assert world.command("approver", "approve", row.pk, "--sign-with", signer.path)[0] == 0
    row.refresh_from_db()
    assert row.status == Status.QUEUED
    told = json.loads(world.command("viewer", "approvals", "verify")[1])
    assert told == {"signed": 1, "unsigned": 0, "problems": []}
    exported = tmp_path / "export.jsonl"
    exported.write_text("\n".join(export(actor=world.people["administrator"])))
    assert _checked_by_a_stranger(tmp_path) == [f"{row.pk} {row.seal} approver"]
    exported.write_text(exported.read_text().replace(row.seal, "0" * 64))
    with pytest.raises(subprocess.CalledProcessError):
        _checked_by_a_stranger(tmp_path)


def _checked_by_a_stranger(directory: Path) -> list[str]:
    """By the program that docs/security.md shows, alone in a directory with the export: nothing of ours is there."""
    program = re.findall(r"```python\n(.*?)```", (ROOT / "docs/security.md").read_text(), flags=re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


def test_a_signature_for_anything_else_is_refused_and_nothing_recorded(
    signer: Signer, world: World, tmp_path: Path
) -> None:
    other = world.request()
    replayed = signer.signature(other)
    row = world.request()
    stranger = make_signer(world.people["superuser"], tmp_path, confirmed_by=world.people["administrator"])
    unconfirmed = make_signer(world.people["approver"], tmp_path, confirmed_by=None)
    wrong = {
        "another deployment's": replayed,
        "somebody else's key": stranger.signature(row, person="approver"),
        "an unconfirmed key": unconfirmed.signature(row),
        "for somebody else": signer.signature(row, person="superuser"),
        "no text that can be written": "\ud800",
        "no signature": "-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----\n",
    }
    for what, signature in wrong.items():
        with pytest.raises(NotAllowed) as refused:
            approve(actor=signer.person, deployment=row, signature=signature)
        assert refused.value.reason == "bad_signature", what
    revoke_key(actor=signer.person, key=signer.key)
    with pytest.raises(NotAllowed) as refused:
        approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    assert refused.value.reason == "no_signing_key"
    assert not Approval.objects.exists()
    assert not AuditEvent.objects.filter(name="deployment.approved").exists()


def test_verify_names_whatever_was_changed_in_the_tables(signer: Signer, world: World) -> None:
    row = world.request()
    approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    given = Approval.objects.get()
    assert not problem_with(given)
    later = timezone.now()
    changes: list[dict[str, Any]] = [{"actor": "superuser"}, {"seal": "0" * 64}, {"signed_with": "SHA256:" + "a" * 43}]
    for change in changes:
        Approval.objects.filter(pk=given.pk).update(**change)
        assert problem_with(Approval.objects.get()), change
        code, told = world.command("viewer", "approvals", "verify")
        assert (code, len(json.loads(told)["problems"])) == (1, 1)
        Approval.objects.filter(pk=given.pk).update(**{name: getattr(given, name) for name in change})
    revoke_key(actor=signer.person, key=signer.key)
    assert not problem_with(Approval.objects.get()), "it was given before"
    SigningKey.objects.update(confirmed_at=later, revoked_at=None)
    assert problem_with(Approval.objects.get()), "it was given before its key was confirmed"


def test_nobody_who_profits_confirms_a_key(world: World, tmp_path: Path) -> None:
    made = make_signer(world.people["requester"], tmp_path, confirmed_by=None)
    with pytest.raises(NotAllowed, match="own key"):
        confirm_key(actor=world.people["requester"], key=made.key, fingerprint=made.key.fingerprint)
    with pytest.raises(InvalidRequest, match="another fingerprint"):
        confirm_key(actor=world.people["approver"], key=made.key, fingerprint="SHA256:" + "a" * 43)
    recover(actor=world.people["administrator"], person=world.user("requester"), reason="lost phone")
    with pytest.raises(NotAllowed, match="lately let in you or requester"):
        confirm_key(actor=world.people["administrator"], key=made.key, fingerprint=made.key.fingerprint)
    confirm_key(actor=world.people["approver"], key=made.key, fingerprint=made.key.fingerprint)
    with pytest.raises(Conflict, match="in the record"):
        add_key(actor=world.people["approver"], name="mine now", public_key=made.key.public_key)
    with pytest.raises(InvalidRequest, match="private key"):
        add_key(actor=world.people["approver"], name="oops", public_key=made.path.read_text())


@pytest.mark.parametrize("how", ["revoked", "recovered", "switched off"])
def test_recovery_voids_consents_that_wait(how: str, signer: Signer, world: World) -> None:
    row = world.request()
    approve(actor=signer.person, deployment=row, signature=signer.signature(row))
    administrator, person = world.people["administrator"], world.user("approver")
    if how == "revoked":
        revoke_key(actor=administrator, key=signer.key)
    elif how == "recovered":
        recover(actor=administrator, person=person, reason="lost phone")
    else:
        change_person(actor=administrator, person=person, changes={"is_active": False}, roles=[])
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert "approv" in row.sentence
    assert SigningKey.objects.get().state == ("confirmed" if how == "recovered" else "revoked")


def test_a_key_that_cannot_sign_ends_in_a_sentence(world: World, tmp_path: Path) -> None:
    row = world.request()
    code, told = world.command("approver", "approve", row.pk, "--sign-with", tmp_path / "none")
    assert (code, json.loads(told)["error"]) == (1, "unusable_signature")
    with pytest.raises(PortalError):
        add_key(actor=world.people["approver"], name="x", public_key="ssh-dss AAAAB3NzaC1kc3M=")


def test_the_api_takes_a_signature_made_elsewhere(signer: Signer, world: World) -> None:
    row = world.request()
    decision = {"decision": "approved", "signature": signer.signature(row)}
    answer = world.api("approver", "post", f"/deployments/{row.pk}/approvals", decision)
    assert answer.status_code == 200
    assert [given["signed_with"] for given in answer.json()["approvals"]] == [signer.key.fingerprint]
