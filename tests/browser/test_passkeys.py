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
    page.wait_for_url(re.compile("/signingkey/[0-9]+/change/"))
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
    page.wait_for_url(re.compile("/deployment/[0-9]+/change/"))
    given = Approval.objects.get()
    assert (given.signed_with, problem_with(given)) == (key.fingerprint, "")
    (tmp_path / "export.jsonl").write_text("\n".join(export(actor=administrator)))
    assert _checked_by_a_stranger(tmp_path) == [f"{row.pk} {row.seal} approver"]
    other = world.request("requester")
    with pytest.raises(NotAllowed, match="No confirmed key"):
        approve(actor=world.people["approver"], deployment=other, signature=given.signature)
    assert claim(row.pk) is not None
    assert visitor.complaints() == []


def _checked_by_a_stranger(directory: Path) -> list[str]:
    """By the second program that docs/security.md shows: nothing of ours is there."""
    program = re.findall(r"```python\n(.*?)```", (ROOT / "docs/security.md").read_text(), flags=re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()
