"""Environments of several applications: how they are called, made, renamed, put in order, retired and deleted."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from deployments.core import selectors
from deployments.environments import registry
from deployments.environments.applications import bind
from deployments.environments.policies import change_policy, decide_policy_change
from deployments.lifecycle import Status
from deployments.models import Application, AuditEvent, Deployment, Environment, PolicyChange, Scope, Secret, Server
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.rollback_targets import rollback_snapshot
from deployments.requests.snapshots import take_snapshot
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest, NotAllowed, NotApproved, NotFound
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def owned(world: World) -> World:
    """The world, its two environments belonging to the application whose releases there are."""
    for environment in (world.test, world.production):
        bind(environment, "dice-bot")
    return world


def add(world: World, text: str, approvals: int | None = None, who: str = "administrator") -> Environment:
    application, _, name = text.partition("/")
    return registry.add_environment(actor=world.people[who], application=application, name=name, approvals=approvals)


def rename(world: World, environment: Environment, name: str) -> Environment:
    return registry.rename_environment(actor=world.people["administrator"], environment=environment, name=name)


def named(text: str) -> Environment:
    return selectors.environment_named(text)


def test_a_name_alone_will_do_while_one_application_has_it(owned: World) -> None:
    assert named("test") == named("dice-bot/test") == owned.test
    assert str(owned.test) == "test"
    other = add(owned, "other/test", 0)
    with pytest.raises(InvalidRequest, match="dice-bot/test, other/test") as refused:
        named("test")
    assert refused.value.reason == "ambiguous_environment"
    assert named("other/test") == other
    assert str(other) == "other/test"
    assert str(named("dice-bot/test")) == "dice-bot/test"
    rename(owned, other, "trial")
    assert str(named("trial")) == "trial"
    assert str(named("test")) == "test"


@pytest.mark.parametrize("text", ["", "/", "/test", "test/", "other/test", "dice-bot/test/", "dice-bot//test", "TEST"])
def test_what_names_none_is_not_found_and_told_what_there_is(owned: World, text: str) -> None:
    with pytest.raises(NotFound) as refused:
        named(text)
    assert "test, production" in refused.value.hint


def test_an_environment_of_none_yet_is_called_by_its_name_alone(world: World) -> None:
    assert named("test") == world.test
    with pytest.raises(NotFound):
        named("/test")


@pytest.mark.parametrize("name", ["Test", "a b", "", "-a", "a/b", "x" * 32, "a\n", "ä"])
def test_a_name_that_is_none_changes_nothing(owned: World, name: str) -> None:
    with pytest.raises(InvalidRequest):
        rename(owned, owned.test, name) if "/" in name else add(owned, f"other/{name}")
    assert Environment.objects.count() == 2
    assert not Application.objects.filter(name="other").exists()


def test_two_environments_of_an_application_never_have_one_name(owned: World) -> None:
    with pytest.raises(Conflict, match="already"):
        add(owned, "dice-bot/test")
    with pytest.raises(Conflict, match="already"):
        rename(owned, owned.test, "production")
    with pytest.raises(IntegrityError), transaction.atomic():
        Environment.objects.create(application="dice-bot", name="test")


def _make(world: World) -> Environment:
    return add(world, "dice-bot/fresh")


def _make_open(world: World) -> Environment:
    return add(world, "dice-bot/fresh", 0)


def _rename_open(world: World) -> Environment:
    return rename(world, world.test, "fresh")


def _swap(world: World) -> Environment:
    rename(world, world.production, "before")
    return rename(world, named("test"), "production")


def _retire_and_make(world: World) -> Environment:
    Server.objects.filter(environment=world.production).update(state=Server.State.RETIRED)
    registry.retire_environment(
        actor=world.people["administrator"], environment=world.production, reason="to begin anew"
    )
    return add(world, "dice-bot/live", 0)


def _retire_rename_and_make(world: World) -> Environment:
    Server.objects.filter(environment=world.production).update(state=Server.State.RETIRED)
    registry.retire_environment(actor=world.people["administrator"], environment=world.production, reason="anew")
    rename(world, world.production, "old")
    return add(world, "dice-bot/production")


def _delete_and_make(world: World) -> Environment:
    Server.objects.filter(environment=world.production).delete()
    registry.delete_environment(actor=world.people["administrator"], environment=world.production)
    return add(world, "dice-bot/production", 0)


def _for_nobody_and_bind(world: World) -> Environment:
    Environment.objects.filter(name="test").update(application="")
    return rename(world, world.test, "fresh")


@pytest.mark.parametrize(
    "way",
    [
        _make,
        _make_open,
        _rename_open,
        _swap,
        _retire_and_make,
        _retire_rename_and_make,
        _delete_and_make,
        _for_nobody_and_bind,
    ],
)
def test_no_name_is_a_way_round_the_second_person(owned: World, way: Callable[[World], Environment]) -> None:
    """Whatever an administrator does alone with names, what comes of it asks for as much as production did."""
    change_policy(
        actor=owned.people["administrator"],
        environment=owned.production,
        approvals_required=2,
        approval_hours=3,
        reason="tighter",
    )
    try:
        made = way(owned)
    except (Conflict, InvalidRequest):
        made = Environment.objects.order_by("-approvals_required")[0]
    assert (made.approvals_required, made.approval_hours) == (2, 3)
    assert not Environment.objects.filter(approvals_required__lt=2).exclude(name="test")
    loosened = change_policy(
        actor=owned.people["administrator"], environment=made, approvals_required=0, approval_hours=3, reason="please"
    )
    assert loosened is not None
    assert loosened.state == PolicyChange.State.WAITING
    decide_policy_change(actor=owned.people["approver"], change=loosened, approve=True)
    made.refresh_from_db()
    assert made.approvals_required == 0


def test_another_application_begins_as_strict_as_any_and_may_ask_for_less(owned: World) -> None:
    assert add(owned, "other/first").approvals_required == 1
    assert add(owned, "third/first", 0).approvals_required == 0
    with pytest.raises(InvalidRequest) as refused:
        add(owned, "other/second", 0)
    assert refused.value.reason == "below_floor"


def test_what_it_ran_its_way_back_keys_and_secrets_survive_a_new_name(owned: World) -> None:
    before = owned.succeeded(owned.releases[0])
    Secret.objects.create(environment=owned.production, name="password", version=1, value="x", created_by="tests")
    environment = rename(owned, owned.production, "live")
    assert environment.deployments.get() == before
    assert environment.secrets.count() == 1
    assert str(environment) == "live"
    back = rollback_snapshot(environment=environment, release=owned.releases[0])
    assert back.environment == "live"
    again = take_snapshot(environment=environment, release=owned.releases[1])  # its table is called production
    assert again.configuration.files
    event = AuditEvent.objects.get(name="environment.renamed")
    assert (event.subject, event.data["before"], event.data["after"]) == ("environment:live", "production", "live")
    rename(owned, environment, "production")
    assert owned.production.former_names == ["live"]


def test_a_request_that_waits_ends_when_its_environment_has_another_name(owned: World) -> None:
    waiting = owned.request("colleague")
    rename(owned, owned.production, "live")
    with pytest.raises(NotApproved, match="environment"):
        approve(actor=owned.people["approver"], deployment=Deployment.objects.get(pk=waiting.pk))
    assert Deployment.objects.get(pk=waiting.pk).status == Status.SUPERSEDED


def test_a_busy_environment_keeps_its_name_and_is_not_retired(owned: World) -> None:
    owned.request("colleague", "test")
    with pytest.raises(EnvironmentBusy):
        rename(owned, owned.test, "trial")
    with pytest.raises(EnvironmentBusy):
        registry.retire_environment(actor=owned.people["administrator"], environment=owned.test, reason="x")


def test_a_retired_environment_is_kept_for_its_history_alone(owned: World) -> None:
    owned.succeeded(owned.releases[0], "test")
    with pytest.raises(Conflict, match="decommission"):
        registry.retire_environment(actor=owned.people["administrator"], environment=owned.test, reason="x")
    Server.objects.filter(environment=owned.test).update(state=Server.State.RETIRED)
    registry.retire_environment(actor=owned.people["administrator"], environment=owned.test, reason="moved away")
    with pytest.raises(InvalidRequest, match="retired"):
        request_deployment(actor=owned.people["operator"], release=owned.releases[1], environment=owned.test)
    with pytest.raises(Conflict, match="history"):
        registry.delete_environment(actor=owned.people["administrator"], environment=owned.test)
    assert owned.test.deployments.count() == 1


def test_what_ran_nothing_is_deleted_and_its_name_is_free(owned: World) -> None:
    made = add(owned, "other/test", 0)
    registry.delete_environment(actor=owned.people["administrator"], environment=made)
    assert str(named("test")) == "test"
    mistaken = add(owned, "mistaken/live")
    registry.delete_environment(actor=owned.people["administrator"], environment=mistaken)
    assert AuditEvent.objects.filter(name="environment.deleted").count() == 2
    Server.objects.filter(environment=owned.production).delete()
    with pytest.raises(Conflict, match="second person"):
        registry.delete_environment(actor=owned.people["administrator"], environment=owned.production)


def test_the_order_is_an_applications_own(owned: World) -> None:
    other = add(owned, "other/live", 0)
    staging = add(owned, "dice-bot/staging")
    wanted = [owned.test, staging, owned.production]
    registry.order_environments(actor=owned.people["administrator"], environments=wanted)
    rows = Environment.objects.filter(application="dice-bot")
    assert [row.name for row in rows] == ["test", "staging", "production"]
    assert [row.order for row in rows] == sorted({row.order for row in rows})
    other.refresh_from_db()
    for wrong in ([owned.test, other], [owned.test, owned.test]):
        with pytest.raises(InvalidRequest):
            registry.order_environments(actor=owned.people["administrator"], environments=wrong)


def test_a_token_for_one_environment_makes_no_other(owned: World) -> None:
    bound = replace(owned.people["administrator"], environment_id=owned.test.pk, kind="token", scopes=frozenset())
    with pytest.raises(NotAllowed):
        registry.add_environment(actor=replace(bound, scopes=frozenset(Scope)), application="dice-bot", name="mine")


def test_the_command_says_what_there_is_and_what_it_did(owned: World) -> None:
    code, said = owned.command("administrator", "environments", "add", "other/test", "--approvals", "0")
    assert code == 0
    assert '"environment": "other/test"' in said
    assert owned.command("administrator", "environments", "rename", "other/test", "trial")[0] == 0
    assert owned.command("operator", "deploy", "test", "--plan")[0] != 2
    assert owned.command("administrator", "environments", "order", "production", "test")[0] == 0
    assert owned.command("administrator", "environments", "delete", "other/trial")[0] == 0
    code, said = owned.command("viewer", "environments", "list")
    assert code == 0
    assert "trial" not in said
    for wrong in (["add"], ["add", "test"], ["rename", "test"], ["order"], ["list", "test"], ["retire", "test"]):
        assert owned.command("administrator", "environments", *wrong)[0] == 2


def test_the_same_over_the_api(owned: World) -> None:
    def post(path: str, **body: object) -> tuple[int, dict[str, object]]:
        answer = owned.api("administrator", "post", f"/environments{path}", body)
        return answer.status_code, answer.json() if answer.content else {}

    assert post("", application="other", name="test", approvals_required=0)[0] == 201
    assert owned.api("viewer", "get", "/deployments?environment=other/test").json()["items"] == []
    status, problem = post("/rename", environment="test", name="trial")
    assert (status, problem["reason"]) == (422, "ambiguous_environment")
    assert post("/rename", environment="other/test", name="trial")[1]["name"] == "trial"
    assert post("/order", environments=["production", "test"])[0] == 200
    assert post("/delete", environment="trial")[0] == 204
    assert post("/delete", environment="trial")[0] == 404
    assert post("/retire", environment="production", reason="no more")[0] == 409
    assert post("", application="other", name="-")[0] == 422
    assert [row["name"] for row in owned.api("viewer", "get", "/environments").json()] == ["production", "test"]


def test_the_same_on_the_pages(owned: World) -> None:
    client = owned.client("administrator")
    add_page = reverse("admin:deployments_environment_add")
    assert "Application" in client.get(add_page).content.decode()
    client.post(add_page, {"application": "other", "name": "test", "approvals_required": "0"})
    assert (named("other/test").approvals_required, str(named("dice-bot/test"))) == (0, "dice-bot/test")
    refused = client.post(add_page, {"application": "dice-bot", "name": "open", "approvals_required": "0"})
    assert "asks for 1 approvals" in refused.content.decode()
    taken = client.post(add_page, {"application": "dice-bot", "name": "test"})
    assert "already" in taken.content.decode()
    page = reverse("admin:deployments_environment_retire", args=[named("other/test").pk])
    client.post(page, {"reason": "no more"})
    assert named("other/test").retired
    assert (
        client.get(reverse("admin:deployments_environment_change", args=[named("dice-bot/test").pk])).status_code == 200
    )
    assert owned.client("viewer").get(add_page).status_code == 403
