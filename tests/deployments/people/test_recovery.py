"""Whoever recovers an account is no second person by it, on any path, until a third one has vouched."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.access import four_eyes
from deployments.access.four_eyes import controllers_of
from deployments.access.policy import token_actor, user_actor
from deployments.access.tokens import authenticate
from deployments.environments.policies import change_policy, decide_policy_change
from deployments.execution.claims import claim
from deployments.github.accounts import link_account
from deployments.lifecycle import Status
from deployments.models import AuditEvent, AuthenticatorApp, GitHubAccount, Role, SigningKey
from deployments.people.accounts import add_person, change_person
from deployments.people.invitations import accept_invitation, invite
from deployments.people.recovery import recover, vouch
from deployments.people.second_factors import begin_app, confirm_app
from deployments.people.signing_keys import add_key, confirm_key, revoke_key
from deployments.requests.approvals import approve, reject, review_break_glass
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.access.authenticator import SoftPasskey
from tests.deployments.world import World
from tests.fixtures.records import hand_token

GOOD = "correct horse battery"


def taken_over(world: World, who: str = "approver", by: str = "superuser") -> Any:
    """The account as whoever recovered it would use it."""
    link = str(recover(actor=world.people[by], person=world.user(who), reason="lost phone"))
    return user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))


def invited(world: World, by: str = "superuser") -> Any:
    """An approver who came in by an invitation, or whoever invited them."""
    person = add_person(actor=world.people[by], username="newcomer", roles=[Role.APPROVER])
    link = str(invite(actor=world.people[by], person=person))
    return user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))


@pytest.mark.parametrize("taken", [taken_over, invited])
def test_who_let_somebody_in_is_no_second_person(world: World, taken: Callable[..., Any]) -> None:
    row, her = world.request("superuser"), taken(world)
    with pytest.raises(NotAllowed, match="superuser lately let in"):
        approve(actor=her, deployment=row)
    with pytest.raises(NotAllowed, match="superuser lately let in"):
        reject(actor=her, deployment=row, comment="x")
    client = Client()
    client.force_login(User.objects.get(username=her.name), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(reverse("admin:deployments_deployment_approve", args=[row.pk]))
    assert "until a third one vouches" in page.content.decode()
    token = authenticate(hand_token(User.objects.get(username=her.name), "hers"))
    assert token is not None
    with pytest.raises(NotAllowed):
        approve(actor=token_actor(token), deployment=row)
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL
    approve(actor=her, deployment=world.request("requester"))  # of others' she is one


def test_two_accounts_that_one_administrator_recovered_are_one_person(world: World) -> None:
    taken_over(world, "operator")
    row = world.request("operator")
    her = taken_over(world, "approver")
    with pytest.raises(NotAllowed):
        approve(actor=her, deployment=row)
    with pytest.raises(NotAllowed):
        approve(actor=world.people["superuser"], deployment=row)


def test_policy_break_glass_and_keys_hold_to_it_too(world: World) -> None:
    change = change_policy(
        actor=world.people["superuser"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
    )
    used = world.request("superuser", break_glass=True)
    her = taken_over(world)
    assert change is not None
    with pytest.raises(NotAllowed):
        decide_policy_change(actor=her, change=change, approve=True)
    with pytest.raises(NotAllowed):
        review_break_glass(actor=her, deployment=used)
    key = SoftPasskey().add(her)
    with pytest.raises(NotAllowed, match="lately let in you or approver"):
        confirm_key(actor=world.people["superuser"], key=key, fingerprint=key.fingerprint)
    mine = SoftPasskey().add(world.people["superuser"])
    with pytest.raises(NotAllowed):
        confirm_key(actor=her, key=mine, fingerprint=mine.fingerprint)
    confirm_key(actor=world.people["administrator"], key=key, fingerprint=key.fingerprint)


def test_an_approval_written_past_the_service_is_not_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    row, her = world.request("superuser"), taken_over(world)
    monkeypatch.setattr("deployments.requests.approvals.refuse_same_person", lambda *_, **__: None)
    approve(actor=her, deployment=row)
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert "0 of the 1 approvals" in row.sentence


def test_a_third_person_vouches_and_nobody_else(world: World) -> None:
    row, her = world.request("superuser"), taken_over(world)
    person = world.user("approver")
    for actor in (her, world.people["superuser"], world.people["operator"]):
        with pytest.raises(NotAllowed):
            vouch(actor=actor, person=person)
    shown = world.client("administrator").get(reverse("admin:auth_user_change", args=[person.pk])).content.decode()
    assert "Let in by superuser" in shown
    vouch(actor=world.people["administrator"], person=person)
    assert AuditEvent.objects.get(name="person.vouched_for").data["after"] == ["superuser"]
    approve(actor=her, deployment=row)
    with pytest.raises(Conflict):
        vouch(actor=world.people["administrator"], person=person)
    taken_over(world)
    assert controllers_of("approver") == {"superuser"}, "recovered again"


def newcomer(world: World, name: str, *roles: Role, by: Any) -> Any:
    """Somebody new, as whoever made the link could be: `by` has the account in hand."""
    person = add_person(actor=by, username=name, roles=roles)
    link = str(invite(actor=by, person=person))
    return user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))


def test_who_lets_in_somebody_who_lets_in_somebody_is_still_no_second_person(world: World) -> None:
    mine, row = world.people["superuser"], world.request("superuser")
    helper = newcomer(world, "helper", Role.ADMINISTRATOR, by=mine)
    second = newcomer(world, "second", Role.APPROVER, by=helper)
    with pytest.raises(NotAllowed, match="lately let in"):
        approve(actor=second, deployment=row)
    row = world.request("superuser")
    link = str(recover(actor=helper, person=world.user("approver"), reason="lost phone"))
    her = user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))
    with pytest.raises(NotAllowed, match="lately let in"):
        approve(actor=her, deployment=row)


def test_an_account_in_the_same_hands_is_no_third_person(world: World) -> None:
    mine, row = world.people["superuser"], world.request("superuser")
    helper = newcomer(world, "helper", Role.ADMINISTRATOR, Role.APPROVER, by=mine)
    her = taken_over(world)
    with pytest.raises(NotAllowed, match="third person"):
        vouch(actor=helper, person=world.user("approver"))
    page = Client()
    page.force_login(User.objects.get(username="helper"), backend="django.contrib.auth.backends.ModelBackend")
    shown = page.get(reverse("admin:auth_user_change", args=[world.user("approver").pk])).content.decode()
    assert reverse("admin:auth_user_vouch", args=[world.user("approver").pk]) not in shown
    with pytest.raises(NotAllowed):
        approve(actor=her, deployment=row)
    vouch(actor=world.people["administrator"], person=world.user("approver"))
    approve(actor=her, deployment=row)


def test_after_three_days_it_is_over_and_what_was_decided_before_stays_so(world: World) -> None:
    taken_over(world)
    now = timezone.now()
    assert controllers_of("approver", at=now + four_eyes.HELD_FOR - timedelta(minutes=1)) == {"superuser"}
    assert controllers_of("approver", at=now + four_eyes.HELD_FOR + timedelta(minutes=1)) == frozenset()
    assert controllers_of("approver", at=now - timedelta(hours=1)) == frozenset()


def test_a_consent_from_before_a_recovery_still_makes_a_way_back(world: World) -> None:
    before = world.succeeded(world.releases[0], requested_by="superuser", approved_by=("approver",))
    taken_over(world)
    from deployments.requests.audit_evidence import Evidence

    assert Evidence.of(before).approvers() == {"approver"}


def test_recovery_ends_every_way_in_and_voids_what_waits(world: World) -> None:
    her, person = world.people["approver"], world.user("approver")
    key = SoftPasskey()
    made = key.add(her)
    secret = begin_app(actor=her, person=person).partition("secret=")[2].partition("&")[0]
    confirm_app(actor=her, person=person, code=pyotp.TOTP(secret).now())
    client, row = world.client("approver"), world.request(environment="production")
    change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=2,
        approval_hours=24,
        reason="x",
    )
    row = world.request()
    approve(actor=her, deployment=row)
    recover(actor=world.people["administrator"], person=person, reason="lost phone")
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert client.get(reverse("admin:index")).status_code == 302
    assert not User.objects.get(pk=person.pk).has_usable_password()
    assert not AuthenticatorApp.objects.filter(person=person).exists()
    assert not person.recovery_codes.exists()
    assert SigningKey.objects.get(pk=made.pk).state == "revoked"
    event = AuditEvent.objects.get(name="person.recovered")
    assert (event.actor, event.subject, event.data["reason"]) == ("administrator", "person:approver", "lost phone")


def test_nobody_recovers_themselves_or_without_saying_why(world: World) -> None:
    with pytest.raises(NotAllowed, match="their own"):
        recover(actor=world.people["administrator"], person=world.user("administrator"), reason="x")
    with pytest.raises(InvalidRequest):
        recover(actor=world.people["administrator"], person=world.user("viewer"), reason=" ")
    with pytest.raises(NotAllowed):
        recover(actor=world.people["approver"], person=world.user("viewer"), reason="x")
    address = reverse("admin:auth_user_recover", args=[world.user("administrator").pk])
    assert world.client("administrator").post(address, {"reason": "x"}).status_code == 403


@pytest.mark.parametrize("by", ["revoking", "switching off and on"])
def test_no_administrator_takes_a_second_factor_away_and_leaves_the_password(world: World, by: str) -> None:
    her, person, mine = world.people["approver"], world.user("approver"), world.people["superuser"]
    person.set_password(GOOD)
    person.save()
    key = SoftPasskey().add(her)
    if by == "revoking":
        revoke_key(actor=mine, key=key)
    else:
        for is_active in (False, True):
            change_person(actor=mine, person=person, changes={"is_active": is_active}, roles=[Role.APPROVER])
    shown = Client().post(reverse("admin:login"), {"username": "approver", "password": GOOD})
    assert shown.status_code == 200, "who had a second factor gets in by a password alone"
    row, link = world.request("superuser"), str(invite(actor=mine, person=User.objects.get(pk=person.pk)))
    back = user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))
    with pytest.raises(NotAllowed, match="lately let in"):
        approve(actor=back, deployment=row)


def test_of_two_people_one_does_not_let_the_other_in_as_if_alone(world: World) -> None:
    her, mine = world.people["approver"], world.people["superuser"]
    for person in User.objects.exclude(username__in=("approver", "superuser")):
        person.groups.clear()
    row = world.request("superuser")
    revoke_key(actor=mine, key=SoftPasskey().add(her))
    person = User.objects.get(username="approver")
    person.set_unusable_password()
    person.save()
    link = str(invite(actor=mine, person=person))
    back = user_actor(accept_invitation(token=link.partition("#")[2], password=GOOD))
    with pytest.raises(NotAllowed, match="lately let in"):
        approve(actor=back, deployment=row)


def test_who_revokes_a_passkey_of_their_own_keeps_the_password(world: World) -> None:
    her, person = world.people["approver"], world.user("approver")
    person.set_password(GOOD)
    person.save()
    revoke_key(actor=her, key=SoftPasskey().add(her))
    assert Client().post(reverse("admin:login"), {"username": "approver", "password": GOOD}).status_code == 302


def test_a_recovered_account_answers_for_no_pushes_that_somebody_else_linked_to_it(world: World) -> None:
    person = world.user("approver")
    link_account(actor=world.people["approver"], person=person, login="theirs", account_id=7)
    recover(actor=world.people["administrator"], person=person, reason="somebody else was in")
    assert not GitHubAccount.objects.exists()
    assert AuditEvent.objects.get(name="person.github_unlinked").data == {"login": "theirs"}


def test_ssh_keys_stay_since_they_let_nobody_in(world: World, tmp_path: Any) -> None:
    import subprocess

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    key = add_key(actor=world.people["approver"], name="card", public_key=(tmp_path / "key.pub").read_text())
    recover(actor=world.people["administrator"], person=world.user("approver"), reason="x")
    key.refresh_from_db()
    assert key.revoked_at is None
