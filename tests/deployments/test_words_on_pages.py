"""What pages say is for people: a token by its person, no flags of the command line, sentences that end once."""

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from deployments.admin.request_deployment import PLAN_OF
from deployments.core.actors import in_words, system_actor
from deployments.environments.guards import locked_sentence
from deployments.environments.locks import lock_environment
from deployments.models import Deployment, Environment
from deployments.requests.bake import report_crash
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

RECORDED = "operator/token:ci"
ROOMS = ("deployments", "dashboard", "alerting")
OF_THE_SHELL = ("management", "migrations", "choices.py", "backups.py")
"""Whose refusals no page shows: backups, and which release is taken where none is named, are of commands alone."""


def hints() -> Iterator[tuple[str, str]]:
    """Every text in what services raise, with where it stands."""
    for room in ROOMS:
        for path in sorted((Path(settings.BASE_DIR) / room).rglob("*.py")):
            if set(OF_THE_SHELL) & set(path.parts):
                continue
            raised = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise))
            for part in (part for node in raised for part in ast.walk(node)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{path.name}:{part.lineno}", part.value


def test_no_refusal_of_a_service_explains_itself_by_a_flag() -> None:
    found = list(hints())
    assert len(found) > 200, "the refusals are looked at"
    assert [one for one in found if "(--" in one[1]] == []


def test_a_missing_reason_has_a_name_of_its_own(world: World) -> None:
    world.succeeded(world.releases[0])
    answer = world.client("superuser").post(
        reverse("admin:deployments_environment_request", args=[world.production.pk]),
        {"release": world.releases[1].pk, PLAN_OF: world.releases[1].pk, "break_glass": "on", "reason": ""},
    )
    page = answer.content.decode()
    assert "#ops-no-reason" in page
    assert "#ops-invalid" not in page
    assert "--reason" not in text_of(page)


def test_a_token_is_its_persons_in_words_on_every_page(world: World) -> None:
    assert in_words(RECORDED) == "operator, by token ci"
    assert in_words("alice") == "alice"
    row = world.succeeded(world.releases[0])
    waits = world.request()
    Deployment.objects.filter(pk__in=[row.pk, waits.pk]).update(requested_by=RECORDED)
    Environment.objects.filter(name="test").update(locked_by=RECORDED)
    for address in (
        "/deployments/",
        f"/deployments/{row.pk}/",
        f"/deployments/{waits.pk}/",
        reverse("admin:deployments_deployment_approve", args=[waits.pk]),
        reverse("admin:deployments_release_change", args=[row.release_id]),
    ):
        said = text_of(world.client("approver").get(address).content.decode())
        assert "operator, by token ci" in said, address
        assert "/token:" not in said, address


def test_a_lock_that_the_watch_made_ends_once(world: World) -> None:
    row = world.succeeded(world.releases[0])
    Deployment.objects.filter(pk=row.pk).update(bake_until=timezone.now() + timedelta(hours=1))
    row.refresh_from_db()
    report_crash(actor=system_actor("watch"), deployment=row, server="prod-1", sentence="bot.service is dead.")
    home = Environment.objects.get(pk=row.environment_id)
    assert home.locked
    assert ".." not in locked_sentence(home)
    assert not home.lock_reason.endswith(".")
    page = world.client("viewer").get(reverse("admin:deployments_environment_change", args=[home.pk])).content.decode()
    assert ".." not in text_of(page).partition("Locked by")[2].partition("rollbacks go on")[0]
    assert "instead" not in home.lock_reason, "what to do is not why it is locked"


def test_a_persons_reason_may_end_with_a_full_stop(world: World) -> None:
    lock_environment(actor=world.people["operator"], environment=world.test, reason="Exams.")
    assert locked_sentence(Environment.objects.get(name="test")) == "test was locked by operator: Exams."
