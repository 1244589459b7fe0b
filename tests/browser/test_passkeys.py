"""A passkey made and used in a real browser, by Chromium's authenticator; its consent is checked by openssl alone."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Route

from deployments.access.export import export
from deployments.access.signatures import problem_with
from deployments.core.actors import Actor
from deployments.environments.policies import change_policy
from deployments.execution.claims import claim
from deployments.models import Approval, SigningKey
from deployments.people.signing_keys import confirm_key
from deployments.people.trusted_keys import anchor_servers, trust_key
from deployments.requests.approvals import approve
from engine.errors import NotAllowed
from tests.dashboard.browsing import Visitor, Visitors
from tests.deployments.world import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parents[2]
SHELL = Actor("shell", "root")
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def visitor(transactional_db: None, world: World, live_server: Any, settings: Any, visit: Visitors) -> Visitor:
    """The approver, signed in, with an authenticator."""
    settings.PORTAL_URL = str(live_server.url)
    person, client = visit(), Client()
    client.force_login(User.objects.get(username="approver"), backend="django.contrib.auth.backends.ModelBackend")
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": settings.PORTAL_URL}
    person.context.add_cookies([session])  # type: ignore[list-item]  # a dictionary of the library's kind
    devices = person.context.new_cdp_session(person.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    person.expected.append("pubKeyCredParams is missing")  # RS256: nothing of ours makes such a key
    return person


def test_a_passkey_signs_the_seal_and_openssl_verifies_the_export(
    visitor: Visitor, world: World, settings: Any, tmp_path: Path
) -> None:
    page, portal, administrator = visitor.page, settings.PORTAL_URL, world.people["administrator"]
    page.goto(portal + reverse("admin:deployments_signingkey_changelist"))
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("phone")
    page.get_by_role("button", name="Add key").click()
    page.get_by_role("link", name="I have them").click()
    key = SigningKey.objects.get()
    confirm_key(actor=administrator, key=key, fingerprint=key.fingerprint)
    trust_key(actor=SHELL, fingerprint=key.fingerprint)
    change_policy(
        actor=administrator,
        environment=world.production,
        approvals_required=1,
        approval_hours=24,
        signed_approvals=True,
        reason="x",
    )
    anchor_servers(actor=SHELL)
    row = world.request()
    page.goto(portal + reverse("admin:deployments_deployment_approve", args=[row.pk]))
    assert visitor.violations() == []
    page.get_by_role("button", name="Approve", exact=True).click()
    page.wait_for_url(re.compile("/deployments/[0-9]+/$"))
    given = Approval.objects.get()
    assert (given.signed_with, problem_with(given)) == (key.fingerprint, "")
    (tmp_path / "export.jsonl").write_text("\n".join(export(actor=administrator)))
    assert _checked_by_a_stranger(tmp_path) == [f"{row.pk} {row.seal} approver"]
    other = world.request("requester")
    with pytest.raises(NotAllowed, match="No confirmed key"):
        approve(actor=world.people["approver"], deployment=other, signature=given.signature)
    assert claim(row.pk) is not None
    assert visitor.complaints() == []


def test_a_passkey_lets_its_owner_in_without_a_password(visitor: Visitor, world: World, settings: Any) -> None:
    page, portal = visitor.page, settings.PORTAL_URL
    page.goto(portal + reverse("admin:account"))
    visitor.picture("account")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("phone")
    page.get_by_role("button", name="Add key").click()
    page.get_by_label("Recovery codes").wait_for()
    assert page.get_by_label("Recovery codes").get_by_role("listitem").count() == 10
    assert visitor.violations() == []
    visitor.picture("recovery-codes")
    visitor.context.clear_cookies()
    page.goto(portal + reverse("admin:account"))
    assert visitor.violations() == []
    visitor.picture("sign-in")
    page.get_by_role("link", name="Sign in with a passkey").click()
    assert visitor.violations() == []
    page.get_by_role("button", name="Use passkey").click()
    page.wait_for_url(portal + reverse("admin:account"))
    assert "by passkey" in page.get_by_label("Where you are signed in").inner_text()
    visitor.context.clear_cookies()
    page.goto(portal + reverse("admin:login"))
    page.get_by_label("Username").fill("approver")
    page.get_by_label("Password").fill("password of approver")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(portal + reverse("admin:second_step"))
    assert visitor.violations() == []
    visitor.picture("second-step")
    page.get_by_role("button", name="Use passkey").click()
    page.wait_for_url(portal + reverse("admin:index"))


def test_who_is_faster_than_the_script_sends_no_passkey_that_was_not_made(visitor: Visitor, settings: Any) -> None:
    held: list[Route] = []
    page = visitor.page  # what the form sends is made by the script: until it runs there is nothing to send
    page.route("**/passkeys*.js", lambda route: held.append(route))
    page.goto(settings.PORTAL_URL + reverse("admin:deployments_signingkey_add") + "?passkey", wait_until="commit")
    page.get_by_label("Name").fill("phone")
    page.get_by_label("Name").press("Enter")
    assert page.get_by_role("button", name="Add key").is_disabled()
    visitor.picture("passkey-not-yet")
    held[0].continue_()
    page.get_by_role("button", name="Add key").click()
    page.get_by_label("Recovery codes").wait_for()
    assert SigningKey.objects.get().name == "phone"


def test_who_runs_no_scripts_is_told_that_a_passkey_needs_them(
    world: World, live_server: Any, settings: Any, visit: Visitors
) -> None:
    settings.PORTAL_URL = str(live_server.url)
    page = visit(java_script_enabled=False).page
    page.goto(settings.PORTAL_URL + reverse("admin:by_passkey"))
    assert page.get_by_role("button", name="Use passkey").is_disabled()
    assert "needs JavaScript" in page.get_by_role("main").inner_text()


def test_an_account_is_recovered_by_a_link_that_no_server_sees(
    visitor: Visitor, world: World, settings: Any, visit: Visitors
) -> None:
    portal, administrator = settings.PORTAL_URL, visit()
    client = Client()
    client.force_login(User.objects.get(username="administrator"), backend="django.contrib.auth.backends.ModelBackend")
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": portal}
    administrator.context.add_cookies([session])  # type: ignore[list-item]  # the same
    page = administrator.page
    page.goto(portal + reverse("admin:auth_user_change", args=[User.objects.get(username="approver").pk]))
    page.get_by_role("link", name="Recover account").click()
    page.get_by_label("Reason").fill("lost phone, asked by a call")
    page.get_by_role("button", name="Recover account").click()
    link = page.locator("#cy-shown-once").input_value()
    assert administrator.violations() == []
    administrator.picture("recovered")
    asked: list[str] = []
    owner = visit(size="phone")
    owner.page.on("request", lambda request: asked.append(request.url))
    owner.page.goto(link)
    owner.page.get_by_label("Password", exact=True).fill("correct horse battery")
    owner.page.get_by_label("Repeat the password").fill("correct horse battery")
    assert owner.violations() == []
    assert owner.sideways() == 0
    owner.picture("invitation")
    owner.page.get_by_role("button", name="Set password").click()
    owner.page.wait_for_url(portal + reverse("admin:account"))
    assert asked
    assert not [address for address in asked if link.partition("#")[2] in address.partition("#")[0]]
    again = visit(scheme="dark")
    again.expected.append("403")
    again.page.goto(link)
    again.page.get_by_label("Password", exact=True).fill("correct horse battery")
    again.page.get_by_label("Repeat the password").fill("correct horse battery")
    again.page.get_by_role("button", name="Set password").click()
    again.page.get_by_role("alert").wait_for()
    assert "does not work" in again.page.get_by_role("alert").inner_text()
    again.picture("invitation-over")


def _checked_by_a_stranger(directory: Path) -> list[str]:
    """By the second program that docs/security.md shows: nothing of ours is there."""
    program = re.findall(r"```python\n(.*?)```", (ROOT / "docs/security.md").read_text(), flags=re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()
