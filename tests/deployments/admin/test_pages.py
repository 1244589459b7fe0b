"""What the pages of the control room show."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.drills.drills import drill_rollback
from deployments.environments.locks import lock_environment
from deployments.environments.policies import change_policy
from deployments.environments.settings import configure_environment
from deployments.execution.claims import claim
from deployments.lifecycle import Status, StepState
from deployments.models import AuditEvent, ClusterBeat, Deployment, Environment, LogLine, Release, Server, Step
from deployments.requests.approvals import approve, reject, review_break_glass
from deployments.requests.rollbacks import request_rollback
from engine.errors import InvalidRequest
from engine.ssh.keys import HostKey, generate_key
from tests.deployments.world import World


def text_of(page: str) -> str:
    """A page's words, without markup and runs of white space."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def read(world: World, who: str, name: str, *arguments: Any) -> str:
    """A page as somebody sees it."""
    answer = world.client(who).get(reverse(f"admin:{name}", args=arguments), follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def running(world: World) -> Deployment:
    """A deployment that a worker has, with a step and a line."""
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    claimed = claim(row.pk)
    assert claimed is not None
    row = claimed.deployment
    target = row.targets.get()
    Step.objects.create(target=target, name="stage", state=StepState.OK, started_at=timezone.now(), seconds=0.25)
    LogLine.objects.create(deployment=row, target=target, step="stage", text="412 files are there already")
    return row


def test_the_overview_shows_what_waits_and_how_each_environment_stands(world: World) -> None:
    world.succeeded(world.releases[0])
    row = world.request()
    change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="holidays",
    )
    lock_environment(actor=world.people["operator"], environment=world.test, reason="exams")
    page = read(world, "approver", "index")
    said = text_of(page)
    assert f"{world.releases[1].version} to production" in said
    assert "Policy of production : approvals required 1 → 0" in said
    assert "Review and decide about the policy of production" in said
    assert "about the policy of production" not in read(world, "administrator", "index")
    assert "Locked by operator: exams" in said
    assert world.releases[0].version in said
    assert reverse("admin:deployments_deployment_approve", args=[row.pk]) in page
    assert "Review and decide" not in read(world, "viewer", "index")


def test_whoever_approves_sees_the_jump_hosts_key_beside_its_name(world: World) -> None:
    gate = generate_key()[1]
    where = Server.objects.filter(environment=world.production)
    where.update(jump="ops@gate.invalid:22", jump_host_key=" ".join(gate.split()[:2]))
    row = world.request()
    said = text_of(read(world, "approver", "deployments_deployment_approve", row.pk))
    assert f"by way of ops@gate.invalid:22 , whose host key is {HostKey.parse(gate).fingerprint}" in said
    where.update(jump_host_key=" ".join(generate_key()[1].split()[:2]))
    said = text_of(read(world, "viewer", "deployments_deployment_change", row.pk))
    assert HostKey.parse(gate).fingerprint in said, "the one that was sealed"


def test_buttons_are_those_of_ones_role_and_of_the_state(world: World) -> None:
    row = world.request()
    name = "deployments_deployment_change"

    def offered(who: str) -> set[str]:
        page = read(world, who, name, row.pk)
        return set(re.findall(r'<a class="button[^"]*" href="[^"]+/([a-z-]+)/"', page))

    assert offered("viewer") == set()
    assert offered("operator") == {"cancel"}
    assert offered("approver") == {"approve"}, "one page, on which either answer is given"
    assert offered("superuser") == {"approve", "cancel"}
    approve(actor=world.people["approver"], deployment=row)
    assert offered("approver") == set()
    assert offered("operator") == {"cancel", "roll-back"}


def test_going_back_is_offered_where_something_ran_before(world: World) -> None:
    def offers(name: str, *arguments: Any) -> bool:
        page = read(world, "operator", name, *arguments)
        return bool(re.search('(undo</span>|class="button[^>]+>)Roll back<', page))

    first = world.succeeded(world.releases[0])
    assert not offers("index")
    assert not offers("deployments_environment_change", world.production.pk)
    assert not offers("deployments_deployment_change", first.pk)
    assert "has no earlier release to go back to" in read(
        world, "operator", "deployments_environment_roll_back", world.production.pk
    )
    second = world.succeeded(world.releases[1])
    assert offers("index")
    assert offers("deployments_environment_change", world.production.pk)
    assert offers("deployments_deployment_change", first.pk)
    assert offers("deployments_deployment_change", second.pk)


def test_a_request_names_the_one_whose_place_it_takes(world: World) -> None:
    row = world.request()
    said = text_of(read(world, "operator", "deployments_environment_request", world.production.pk))
    assert "waits for one approval by somebody else" in said
    assert f"It replaces #{row.pk} , which waits for approval" in said


def test_many_files_are_named_in_one_fold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.releases.diffs.MAX_FILES", 1)
    world.succeeded(world.releases[0])
    page = read(world, "approver", "deployments_deployment_approve", world.request().pk)
    assert "<summary>1 more, only named</summary>" in page
    assert page.count('<details open class="cy-diff"') == 1  # so few are not worth a click


def test_the_approval_page_shows_plan_differences_way_back_and_seal(world: World) -> None:
    last = world.succeeded(world.releases[0])
    configure_environment(
        actor=world.people["administrator"],
        environment=world.production,
        changes={"configuration": {"dice.json": {"sides": 12}}},
    )
    row = world.request()
    page = read(world, "approver", "deployments_deployment_approve", row.pk)
    said = text_of(page)
    assert row.seal in said
    assert "preflight → stage → dependencies → backup → activate → restart → verify" in said
    old, new = (release.version for release in world.releases[:2])
    assert f"From {old} to {new} ; 2 files and 1 configuration file, " in said
    assert f"Rollback target {world.releases[0]}" in said
    assert f"#{last.pk} {world.releases[0]}" in said
    assert "1.1.0: say more" in said
    assert "+# this is 1.1.0" in said
    assert "-# this is 1.0.0" in said
    assert "- &quot;sides&quot;: 20" in said
    assert "+ &quot;sides&quot;: 12" in said
    assert "about 0.0 s" in said
    assert "It is queued at once and a worker deploys" in said


def test_the_first_deployment_says_that_nothing_runs_there(world: World) -> None:
    said = text_of(read(world, "approver", "deployments_deployment_approve", world.request().pk))
    assert "First release: nothing runs there yet" in said
    assert "none: nothing has run here before" in said
    assert "not known yet: no deployment has succeeded here" in said
    assert re.search(r"Files \d+ files, all new: nothing runs there yet", said)


def test_a_broken_seal_is_told_before_anybody_decides(world: World) -> None:
    row = world.request()
    world.production.servers.update(host="elsewhere.invalid")
    said = text_of(read(world, "approver", "deployments_deployment_approve", row.pk))
    assert "The seal does not hold any more. Server production-1 changed: host." in said


def test_a_damaged_artifact_does_not_break_the_page(world: World) -> None:
    from pathlib import Path

    row = world.request()
    path = Path(world.releases[1].artifact.path)
    path.chmod(0o640)
    path.write_bytes(b"x")
    said = text_of(read(world, "approver", "deployments_deployment_approve", row.pk))
    assert "The changes cannot be shown. The artifact" in said
    assert "is damaged" in said


def test_the_requester_reads_why_they_cannot_approve(world: World) -> None:
    row = world.request("requester")
    address = reverse("admin:deployments_deployment_approve", args=[row.pk])
    client = world.client("requester")
    for answer in (client.get(address), client.post(address, {"comment": ""})):
        assert answer.status_code == 403
        page = answer.content.decode()
        assert "Whoever asked for a deployment cannot be the one who decides about it." in page
        assert '<form method="post" class="cy-form"' not in page
    assert address not in client.get(reverse("admin:index")).content.decode()


def test_a_refusal_has_its_status_and_keeps_what_was_typed(world: World) -> None:
    row = world.request()
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    address = reverse("admin:deployments_deployment_approve", args=[row.pk])
    answer = world.client("approver").post(address, {"comment": "looks good to me"})
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "production was locked by operator: exams." in page
    assert "looks good to me" in page
    rejection = reverse("admin:deployments_deployment_reject", args=[row.pk])
    assert world.client("approver").post(rejection, {"comment": ""}).status_code == 422
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL


def test_a_busy_environment_is_a_conflict(world: World) -> None:
    world.request(break_glass=True)
    row = world.request()
    address = reverse("admin:deployments_deployment_approve", args=[row.pk])
    answer = world.client("approver").post(address, {"comment": ""})
    assert answer.status_code == 409
    assert "production is busy" in answer.content.decode()


def test_several_rows_are_confirmed_on_one_page_and_told_one_by_one(world: World) -> None:
    mine, theirs = world.request("superuser"), world.request("operator", "test")
    address = reverse("admin:deployments_deployment_changelist")
    client = world.client("superuser")
    ticked = {"action": "bulk_cancel", "_selected_action": [mine.pk, theirs.pk]}
    question = client.post(address, ticked)
    assert question.status_code == 200
    assert text_of(question.content.decode()).count("It ends at once") == 2
    mine.refresh_from_db()
    assert mine.status == Status.AWAITING_APPROVAL, "nothing happens before it is confirmed"
    done = client.post(address, {**ticked, "confirmed": "1"}, follow=True)
    said = text_of(done.content.decode())
    assert f"Deployment {mine.pk} is cancelled" in said
    assert f"Deployment {theirs.pk} is cancelled" in said


def test_nobody_approves_in_bulk_what_was_not_shown(world: World) -> None:
    row, address = world.request(), reverse("admin:deployments_deployment_changelist")
    client = world.client("approver")
    assert "bulk_approve" not in client.get(address).content.decode()
    client.post(address, {"action": "bulk_approve", "_selected_action": [row.pk], "confirmed": "1", "comment": ""})
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("action", ["cancel", "reject"])
def test_rows_that_a_bulk_action_cannot_take_are_left_out_with_the_reason(action: str, world: World) -> None:
    ended, own, theirs = world.succeeded(world.releases[0]), world.request("superuser", "test"), world.request()
    client, address = world.client("superuser"), reverse("admin:deployments_deployment_changelist")
    ticked = {"action": f"bulk_{action}", "_selected_action": [ended.pk, own.pk, theirs.pk]}
    page = client.post(address, ticked).content.decode()
    said = text_of(page)
    assert f"#{ended.pk} {ended.release} → production is left out. It is succeeded." in said
    assert f'name="_selected_action" value="{ended.pk}"' not in page
    assert f'name="_selected_action" value="{theirs.pk}"' in page
    if action == "reject":
        assert "cannot be the one who decides about it" in said
    done = text_of(client.post(address, {**ticked, "confirmed": "1", "comment": "no"}, follow=True).content.decode())
    assert "left out. It is succeeded." in done
    theirs.refresh_from_db()
    assert theirs.ended
    ended.refresh_from_db()
    assert ended.status == Status.SUCCEEDED


def test_a_deployment_has_one_page_and_the_control_room_leads_there(world: World) -> None:
    row, client = world.request(), world.client("approver")
    answer = client.get(reverse("admin:deployments_deployment_change", args=[row.pk]))
    assert answer.headers["Location"] == f"/deployments/{row.pk}/"
    done = client.post(reverse("admin:deployments_deployment_reject", args=[row.pk]), {"comment": "no"}, follow=True)
    assert done.redirect_chain == [(f"/deployments/{row.pk}/", 302)]
    page = done.content.decode()
    assert f"You rejected deployment {row.pk}." in page
    assert page.count("<h1") == 1
    for part in ("Plan", "Changes against", "What was sealed", "Audit trail"):
        assert re.search(f"<h[23][^>]*>{part}", page), part


def test_unreviewed_break_glass_is_marked_on_every_page(world: World) -> None:
    row = world.request(break_glass=True)
    names = ("index", "deployments_server_changelist", "deployments_auditevent_changelist", "auth_user_changelist")
    for name in names:
        assert f"Deployment {row.pk} waits for a second person" in read(world, "superuser", name)
    review_break_glass(actor=world.people["approver"], deployment=row)
    for name in names:
        assert "waits for a second person" not in read(world, "superuser", name)
    assert "Reviewed by approver" in text_of(read(world, "viewer", "deployments_deployment_change", row.pk))


def test_members_see_unreviewed_break_glass_on_the_status_pages_too_and_visitors_do_not(world: World) -> None:
    row = world.request(break_glass=True)
    member = world.client("viewer")
    for address in ("/", "/deployments/", f"/deployments/{row.pk}/"):
        assert "A second person has to review it" in member.get(address).content.decode(), address
    assert "Break-glass" not in Client().get("/").content.decode()
    review_break_glass(actor=world.people["approver"], deployment=row)
    assert "A second person has to review it" not in member.get("/").content.decode()


def test_the_audit_trail_is_searched_and_narrowed(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    row = world.request()
    request_rollback(actor=world.people["operator"], environment=world.production, reason="it hangs")
    client = world.client("viewer")
    address = reverse("admin:deployments_auditevent_changelist")

    def found(query: str) -> int:
        return (
            client.get(f"{address}{query}").content.decode().count('class="field-number')
            or client.get(f"{address}{query}").context["cl"].result_count
        )

    assert found(f"?subject=deployment:{row.pk}") == 1
    assert found("?actor=operator") == 1
    assert found("?q=it+hangs") == 1
    assert found("?kind=rollback") == 1
    assert found("?q=nothing+of+the+kind") == 0
    assert "cy-event-rollback" in client.get(address).content.decode()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("deployments_deployment", "deployment"),
        ("deployments_environment", "environment"),
        ("deployments_release", "release"),
        ("auth_user", "person"),
    ],
)
def test_every_object_shows_its_events_and_leads_to_all_of_them(name: str, key: str, world: World) -> None:
    row = world.request()
    configure_environment(
        actor=world.people["administrator"], environment=world.production, changes={"bake_seconds": 60}
    )
    objects = {
        "deployment": row.pk,
        "environment": row.environment_id,
        "release": row.release_id,
        "person": world.user("colleague").pk,
    }
    page = read(world, "administrator", f"{name}_change", objects[key])
    assert "All events" in page
    if key == "person":
        assert "Deployment requested" in page
        assert "?actor=colleague" in page


def test_an_environment_edit_goes_through_the_service(world: World) -> None:
    client = world.client("administrator")
    address = reverse("admin:deployments_environment_change", args=[world.production.pk])
    sent = {"configuration": '{"dice.json": 3}', "bake_seconds": 300, "bake_action": "rollback", "order": 1}
    sent |= {"batch": 10}
    refused = client.post(address, sent, follow=True)
    assert "The configuration is a table of files, each with a table of values." in refused.content.decode()
    assert world.production.configuration == {}
    client.post(address, {**sent, "configuration": '{"dice.json": {"sides": 6}}', "approvals_required": 0})
    assert world.production.configuration == {"dice.json": {"sides": 6}}
    assert world.production.approvals_required == 1, "the policy is no field of this form"
    assert AuditEvent.objects.filter(name="environment.configured", actor="administrator").count() == 1


def test_decommissioning_says_what_stays_on_the_machine_and_is_not_done_by_the_way(world: World) -> None:
    world.succeeded(world.releases[0])
    Environment.objects.filter(pk=world.production.pk).update(application="dice-bot")
    server = world.servers["production"]
    name = "deployments_server_decommission"
    said = text_of(read(world, "administrator", name, server.pk))
    assert "go on running there" in said
    assert f"manage.py decommission {server.name}" in said
    client = world.client("administrator")
    address = reverse(f"admin:{name}", args=[server.pk])
    assert client.post(address).status_code == 422
    active = world.request(environment="production")
    approve(actor=world.people["approver"], deployment=active)
    assert client.post(address, {"understood": "on"}).status_code == 409
    Deployment.objects.filter(pk=active.pk).delete()
    assert client.post(address, {"understood": "on"}).status_code == 302
    server.refresh_from_db()
    assert server.state == Server.State.RETIRED
    assert server.targets.filter(deployment__status=Status.SUCCEEDED).exists()
    assert server.name not in text_of(read(world, "administrator", "index"))
    assert "Decommissioned" in text_of(read(world, "administrator", "deployments_server_changelist"))
    event = AuditEvent.objects.get(name="server.decommissioned")
    assert "sudo" in str(event.data["left"])


def test_nothing_is_deleted_but_channels(world: World) -> None:
    row = world.request()
    client = world.client("superuser")
    for name, pk in (
        ("deployments_deployment", row.pk),
        ("deployments_environment", row.environment_id),
        ("deployments_release", row.release_id),
        ("deployments_server", world.servers["test"].pk),
        ("deployments_auditevent", 1),
        ("auth_user", world.user("viewer").pk),
    ):
        assert client.post(reverse(f"admin:{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403
        ticked = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        client.post(reverse(f"admin:{name}_changelist"), ticked)
    assert Deployment.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("name", ["index", "deployments_deployment_changelist", "deployments_auditevent_changelist"])
def test_the_number_of_queries_does_not_grow_with_the_history(name: str, world: World) -> None:
    client = world.client("viewer")

    def queries() -> int:
        client.get(reverse(f"admin:{name}"))
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse(f"admin:{name}"))
        return len(seen)

    for release in world.releases:  # two, so that there is a way back whose consent is looked up
        world.succeeded(release)
    world.request()
    few = queries()
    for _ in range(20):
        world.succeeded(world.releases[1])
        world.request()
    assert queries() <= few + 1


def test_where_everything_earlier_is_in_quarantine_that_is_the_reason(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    Release.objects.filter(pk=world.releases[0].pk).update(quarantined_at=timezone.now(), quarantine_reason="seven")
    why = f"production cannot go back: {world.releases[0]} is in quarantine."
    assert why in text_of(read(world, "operator", "index"))
    assert why in text_of(read(world, "operator", "deployments_environment_roll_back", world.production.pk))
    for call in (
        lambda: request_rollback(actor=world.people["operator"], environment=world.production, reason="seven"),
        lambda: drill_rollback(actor=world.people["operator"], environment=world.production, carry_out=lambda row: row),
    ):
        with pytest.raises(InvalidRequest, match="is in quarantine"):
            call()


def test_a_request_shows_what_is_known_of_each_release_and_its_plan_before_it_is_sent(world: World) -> None:
    world.succeeded(world.releases[0])
    bad = world.succeeded(world.releases[1], "test")
    Deployment.objects.filter(pk=bad.pk).update(status=Status.ROLLED_BACK)
    address = reverse("admin:deployments_environment_request", args=[world.production.pk])
    page = world.client("operator").get(address).content.decode()
    assert 'form="cy-form" checked' not in page, "the newest failed on test, the other runs: a person chooses"
    assert re.search(r"1\.1\.0 \S+ \S.* 1\.1\.0: say more failed on test", text_of(page))
    said = text_of(world.client("operator").get(f"{address}?release={world.releases[1].pk}").content.decode())
    assert f"What {world.releases[1].version} would do" in said
    assert "It failed on test (" in said
    assert f"{world.releases[0].version} → {world.releases[1].version} · 2 files, 0 packages, " in said
    assert "preflight → stage" in said
    assert Deployment.objects.count() == 2, "nothing was asked for"


def test_where_it_is_locked_or_nothing_was_built_no_form_is_offered(world: World) -> None:
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    name = reverse("admin:deployments_environment_request", args=[world.production.pk])
    answer = world.client("operator").get(name)
    assert "production was locked by operator: exams" in text_of(answer.content.decode())
    assert '<form method="post" class="cy-form"' not in answer.content.decode()
    assert f'href="{name}"' not in read(world, "operator", "index")
    Release.objects.all().delete()
    where = reverse("admin:deployments_environment_request", args=[world.test.pk])
    assert "No release has been built yet." in text_of(world.client("operator").get(where).content.decode())


def test_approving_and_rejecting_stand_beside_each_other(world: World) -> None:
    row = world.request()
    page = read(world, "approver", "deployments_deployment_approve", row.pk)
    other = reverse("admin:deployments_deployment_reject", args=[row.pk])
    assert f'formaction="{other}"' in page
    assert world.client("approver").post(other, {"comment": ""}).status_code == 422
    assert world.client("approver").post(other, {"comment": "It crashed on test."}).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.approvals.get().comment) == (Status.REJECTED, "It crashed on test.")


def test_what_failed_before_is_approved_with_a_reason_and_its_error_in_view(world: World) -> None:
    failed = world.succeeded(world.releases[1], "test")
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED, sentence="It crashed after its start.")
    step = failed.targets.get().steps.create(name="verify", state="failed", started_at=timezone.now())
    LogLine.objects.create(
        deployment=failed, target=step.target, step="verify", stream="journal", text="RuntimeError: no sides"
    )
    reject(actor=world.people["approver"], deployment=world.request(), comment="It crashed on test.")
    row, client = world.request(), world.client("approver")
    address = reverse("admin:deployments_deployment_approve", args=[row.pk])
    said = text_of(client.get(address).content.decode())
    for words in ("It crashed after its start.", "RuntimeError: no sides", "approver rejected it: It crashed on test."):
        assert words in said
    assert "Comment (needed)" in said
    refused = client.post(address, {"comment": "  "})
    assert refused.status_code == 422
    assert "say why it may go nevertheless" in text_of(refused.content.decode())
    assert client.post(address, {"comment": "The dice on test were broken, not the bot."}).status_code == 302
    row.refresh_from_db()
    assert row.status == Status.QUEUED


def test_the_packages_own_pages_are_for_those_they_serve(world: World) -> None:
    viewer = world.client("viewer")
    assert viewer.get("/admin/django_q/ormq/").status_code == 403
    assert world.client("administrator").get("/admin/django_q/ormq/").status_code == 200
    for label in ("auth", "deployments", "django_q", "axes"):
        assert viewer.get(f"/admin/{label}/").headers["Location"] == "/admin/"
    assert viewer.post("/admin/logout/").headers["Location"] == "/"


def test_every_machines_clusters_are_listed_with_those_that_are_silent(world: World) -> None:
    now = timezone.now()
    for machine, ago in (("ops-1", 5), ("ops-2", 400)):
        ClusterBeat.objects.create(machine=machine, cluster="rescue", at=now - timedelta(seconds=ago))
    page = read(world, "administrator", "deployments_clusterbeat_changelist")
    rows = re.findall(r"<tr\b.*?</tr>", page, re.DOTALL)
    told = [
        (machine, "Silent" in row, "Works" in row) for row in rows for machine in ("ops-1", "ops-2") if machine in row
    ]
    assert told == [("ops-1", False, True), ("ops-2", True, False)]
    assert world.client("viewer").get("/admin/deployments/clusterbeat/").status_code == 403
