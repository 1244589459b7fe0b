"""Secrets planted everywhere a secret lives turn up on no page, in no log, event, notification or error."""

import html
import re
from pathlib import Path

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.test import Client
from django.urls import reverse

from deployments.access.tokens import issue_token
from deployments.execution.claims import claim
from deployments.execution.recorder import Recorder
from deployments.models import AuditEvent, Deployment, Environment, NotificationDelivery, Scope, Secret
from deployments.notifications.channels import save_channel
from deployments.requests.approvals import approve
from deployments.requests.reviews import review_of
from engine.ssh.keys import generate_key
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
LINK = re.compile(r'(href|action|hx-get)="((?:/admin/|/deployments/\d+/)[^"#]*)"')
NEVER_FOLLOWED = ("/admin/logout/", "/admin/jsi18n/", "/export/", "/admin/login/")


@pytest.fixture
def canaries(world: World, settings: object) -> dict[str, str]:
    """One secret per place where secrets live."""
    private, public = generate_key("canary")
    Environment.objects.filter(name="production").update(public_key=public)
    production = world.production
    production.private_key = private
    production.save(update_fields=["private_key"])
    planted = {
        "secret": "canary-of-a-secret-1",
        "old secret": "canary-of-an-older-version",
        "channel": "canary-of-a-channel",
        "private key": private.splitlines()[2],
    }
    for version, name in ((1, "old secret"), (2, "secret")):
        Secret.objects.create(
            environment=production, name="dice-token", version=version, value=planted[name], created_by="tests"
        )
    values: dict[str, object] = {
        "name": "chat",
        "url": f"json://user:{planted['channel']}@127.0.0.1:9/x",
        "environment": None,
        "events": [],
        "enabled": True,
    }
    save_channel(actor=world.people["administrator"], channel=None, values=values)
    _, text = issue_token(
        actor=world.people["operator"], name="ci", scopes=[Scope.DEPLOY], owner=world.user("operator")
    )
    return {**planted, "token": str(text)}


def crawl(client: Client, start: str) -> dict[str, str]:
    """Every page of the admin that links lead to from `start`, by its address."""
    waiting, seen, sent_to = [start], dict[str, str](), set[str]()
    while waiting:
        address = waiting.pop()
        if address in seen or any(part in address for part in NEVER_FOLLOWED):
            continue
        answer = client.get(address)
        only_sent_to = address in sent_to and answer.status_code == 405
        assert only_sent_to or answer.status_code in (200, 204, 286, 302), f"{address} answered {answer.status_code}"
        seen[address] = text = answer.getvalue().decode()
        for attribute, found in LINK.findall(text):
            waiting.append(html.unescape(found))
            if attribute == "action":  # a form's or a button's: some of these addresses take POST alone
                sent_to.add(waiting[-1])
    return seen


def test_no_page_log_event_or_message_shows_a_planted_secret(
    transactional_db: None, world: World, canaries: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    world.succeeded(world.releases[0])
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    claimed = claim(row.pk)
    assert claimed is not None
    target = claimed.deployment.targets.get()
    with Recorder(claimed.deployment, claimed.token) as recorder:
        for number, secret in enumerate((canaries["old secret"], canaries["secret"]), start=1):
            line = f"the bot said: {secret}!"
            recorder.record(target, {"kind": "log", "seq": number, "step": "verify", "stream": "stdout", "text": line})
            facts = {"seen": [secret]}
            recorder.record(
                target, {"kind": "step", "seq": number, "step": f"s{number}", "state": "ok", "facts": facts}
            )
    pages = crawl(world.client("superuser"), reverse("admin:index"))
    assert len(pages) > 60
    assert "the bot said: [secret dice-token]!" in pages[reverse("deployment", args=[row.pk])]
    events = DjangoJSONEncoder().encode(list(AuditEvent.objects.values()))
    messages = DjangoJSONEncoder().encode(list(NotificationDelivery.objects.values()))
    for name, value in canaries.items():
        assert not [address for address, text in pages.items() if value in text], name
        assert value not in events, name
        assert value not in messages, name
        assert value not in caplog.text, name


def test_the_difference_of_a_committed_secret_is_masked(world: World, canaries: dict[str, str]) -> None:
    world.succeeded(world.releases[0])
    leaked = "this is 1.1.0"
    Secret.objects.create(environment=world.production, name="leaked", version=1, value=leaked, created_by="tests")
    review = review_of(actor=world.people["approver"], deployment=world.request())
    lines = [line.text for server in review.servers for change in server.changes.files for line in change.lines or []]
    assert "+# [secret leaked]" in lines
    assert not [line for line in lines if leaked in line]


def _state() -> tuple[object, ...]:
    """What pages might change if reading them did anything."""
    return (
        list(Deployment.objects.order_by("id").values_list("id", "status", "reviewed_by")),
        list(Environment.objects.order_by("id").values_list("id", "locked_by", "approvals_required")),
        AuditEvent.objects.count(),
    )


@pytest.mark.parametrize("who", ["viewer", "operator", "approver", "administrator"])
def test_every_page_opens_for_every_role(who: str, world: World, canaries: dict[str, str]) -> None:
    world.succeeded(world.releases[0])
    world.request(break_glass=True)
    world.request()
    client = world.client(who)
    before = _state()
    pages = crawl(client, reverse("admin:index"))
    assert len(pages) > 25
    assert _state() == before, "a link decides nothing by itself"


def test_secrets_reach_commands_on_standard_input_only() -> None:
    commands = Path(__file__).resolve().parents[2] / "deployments" / "management" / "commands"
    for name in ("set_secret", "approve", "provision"):
        source = (commands / f"{name}.py").read_text()
        arguments = re.findall(r"add_argument\(\s*\"(-*[a-z_-]+)\"", source)
        assert not {"--password", "--token", "--value", "--secret", "value"} & set(arguments), name
