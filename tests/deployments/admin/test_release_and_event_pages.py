"""A release's page and an audit event's: what matters first, in words, with links to all that it is about."""

import re

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.audit import trail
from deployments.environments.settings import configure_environment
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Release
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


def page_of(world: World, model: str, key: int, who: str = "viewer") -> str:
    """A page of the control room."""
    answer = world.client(who).get(reverse(f"admin:deployments_{model}_change", args=[key]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_releases_page_says_where_it_stands_what_changed_and_who_asked_for_it(world: World) -> None:
    live = world.succeeded(world.releases[1])
    failed = world.succeeded(world.releases[1], "test")
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED)
    Release.objects.filter(pk=world.releases[1].pk).update(commit="c0ffee" * 6, ref="main")
    page = page_of(world, "release", world.releases[1].pk, "operator")
    words = text_of(page)
    assert "Live on production" in words
    assert "1.1.0: say more" in words
    assert "from c0ffeec0ff on main" in words
    for row in (live, failed):
        assert f'href="/deployments/{row.pk}/">#{row.pk} to {row.environment}' in page
    assert "Deploy to production" in words
    Release.objects.filter(pk=world.releases[1].pk).update(
        quarantined_at=timezone.now(), quarantined_by="approver", quarantine_reason="it hangs"
    )
    assert "In quarantine" in text_of(page_of(world, "release", world.releases[1].pk))
    assert "it hangs" in text_of(page_of(world, "release", world.releases[1].pk))


def test_a_releases_page_costs_the_same_however_often_it_was_deployed(world: World) -> None:
    client = world.client("viewer")
    address = reverse("admin:deployments_release_change", args=[world.releases[0].pk])

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(address)
        return len(seen)

    world.succeeded(world.releases[0])
    world.succeeded(world.releases[0], "test")
    queries()
    before = queries()
    for _ in range(4):
        world.succeeded(world.releases[0])
    assert queries() == before


def test_an_event_is_told_in_words_with_who_what_about_and_what_is_beside_it(world: World) -> None:
    row = world.request(reason="people asked for it")
    trail.record(actor=world.people["operator"], name="person.session_ended", subject="person:operator")
    event = AuditEvent.objects.get(name="deployment.requested")
    page = page_of(world, "auditevent", event.pk)
    assert re.search(r"<h1[^>]*>Deployment requested</h1>", page)
    assert f'href="/deployments/{row.pk}/">deployment:{row.pk}</a>' in page
    assert reverse("admin:auth_user_change", args=[world.user("colleague").pk]) in page
    assert f"?subject=deployment%3A{row.pk}" in page
    assert "?actor=colleague" in page
    for beside in (event.sequence - 1, event.sequence + 1):
        there = AuditEvent.objects.filter(sequence=beside).first()
        assert there is None or reverse("admin:deployments_auditevent_change", args=[there.pk]) in page
    assert AuditEvent.objects.filter(sequence=event.sequence + 1).exists()
    words = text_of(page)
    assert "Reason people asked for it" in words
    assert event.hash in words
    assert event.previous_hash in words
    assert "Rollback of" not in words.partition("As it is written")[0], "what is empty is left out"


def test_what_an_event_changed_is_a_table_of_before_and_after(world: World) -> None:
    configure_environment(actor=world.people["administrator"], environment=world.production, changes={"order": 7})
    event = AuditEvent.objects.get(name="environment.configured")
    before = str(event.data["changes"]["order"][0])
    page = page_of(world, "auditevent", event.pk)
    assert f"order {before} 7" in text_of(page)
    assert reverse("admin:deployments_environment_change", args=[world.production.pk]) in page


def test_an_event_about_what_is_gone_has_no_dead_link(world: World) -> None:
    for subject in ("deployment:999", "server:gone", "person:gone", "release:gone", "environment:gone", "backup:7", ""):
        trail.record(actor=world.people["operator"], name="person.session_ended", subject=subject)
        event = AuditEvent.objects.order_by("-sequence").first()
        assert event is not None
        page = page_of(world, "auditevent", event.pk)
        about = page.partition("<dt>About</dt>")[2].partition("</dd>")[0]
        assert re.findall(r'href="([^"?]+)', about) == (
            [reverse("admin:deployments_auditevent_changelist")] if subject else []
        )
