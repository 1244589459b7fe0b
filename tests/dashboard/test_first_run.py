"""The first steps are done when the records say so, and an empty portal shows them to whoever opens it."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.selectors.first_run import first_steps
from dashboard.selectors.first_step import FirstStep, Place
from deployments.access.policy import user_actor
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Secret, Server, SigningKey
from tests.dashboard import records
from tests.fixtures.records import MakePerson, MakeRelease

pytestmark = pytest.mark.django_db
TITLES = (
    "Make an administrator",
    "Add a passkey",
    "Invite a second person",
    "Build a release",
    "Add a server",
    "Set the secrets",
    "Deploy the release",
    "Set up monitoring",
)
Ready = Callable[[Environment], Server]


def done() -> list[str]:
    """What is done."""
    return [step.title for step in first_steps(None).steps if step.done]


def step(title: str, who: str = "") -> FirstStep:
    """As somebody sees it."""
    actor = user_actor(User.objects.get(username=who)) if who else None
    return next(step for step in first_steps(actor).steps if step.title == title)


def opened(who: str, path: str = "/start/") -> str:
    """A page as somebody who is signed in reads it."""
    client = Client()
    client.force_login(User.objects.get(username=who), backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def ready(ready_server: Ready) -> Server:
    """A server of the environment test."""
    return ready_server(Environment.objects.get(name="test"))


def test_each_step_is_done_when_it_is_and_not_before(
    make_release: MakeRelease, make_person: MakePerson, ready_server: Ready
) -> None:
    assert tuple(step.title for step in first_steps(None).steps) == TITLES
    assert done() == []
    ada = User.objects.create_user("ada", is_staff=True)
    assert done() == [], "an account without a role administers nothing"
    ada.groups.set(Group.objects.filter(name="administrator"))
    assert done() == ["Make an administrator"]
    key = SigningKey.objects.create(person="ada", name="hers", credential="c", public_key="k", fingerprint="f")
    assert done() == ["Make an administrator", "Add a passkey"]
    make_person("arno", "approver", "operator")
    assert "Invite a second person" not in done(), "who approves alone approves nothing of what they ask for"
    make_person("olga", "operator")
    release = make_release("1.0.0")
    assert done() == list(TITLES[:4])
    server = ready_server(Environment.objects.get(name="test"))
    Server.objects.update(state=Server.State.ENROLLED)
    assert done() == list(TITLES[:4]), "enrolled is not ready"
    Server.objects.update(state=Server.State.PROVISIONED)
    Secret.objects.create(environment=server.environment, name="cytube-password", version=1, value="x")
    assert done() == list(TITLES[:6])
    row = records.deployment(server, Status.FAILED, release=release)
    assert done() == list(TITLES[:6]), "a failure is no deployment yet"
    Deployment.objects.filter(pk=row.pk).update(status=Status.SUCCEEDED)
    assert done() == list(TITLES[:7])
    SigningKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    assert "Add a passkey" not in done(), "what was revoked is not there any more"


def test_an_empty_portal_opens_with_them_and_a_used_one_shows_them_to_members_alone(make_person: MakePerson) -> None:
    stranger = Client()
    assert stranger.get("/").headers["Location"] == "/start/"
    page = stranger.get("/start/").content.decode()
    assert "0 of 8 done, about 15 min left" in page
    assert "./manage.py createsuperuser" in page
    assert "/admin/auth/user/" not in page, "who cannot sign in is sent to no list"
    make_person("ada", "administrator")
    assert stranger.get("/").status_code == 200
    assert stranger.get("/start/").headers["Location"].startswith("/admin/login/")
    page = opened("ada")
    assert "1 of 8 done" in page
    assert re.search(r'(?s)class="card next"><header><h2><span class="number"[^>]*>2</span>Add a passkey', page)


@pytest.mark.parametrize("path", ["/", "/admin/"])
def test_members_are_led_there_until_something_was_deployed(make_person: MakePerson, ready: Server, path: str) -> None:
    make_person("ada", "administrator")
    assert 'id="first-title"' in opened("ada", path) or 'id="cy-first"' in opened("ada", path)
    assert "Next: build a release." in opened("ada", path)
    records.deployment(ready, Status.SUCCEEDED)
    assert "Next:" not in opened("ada", path + "?environment=test")


def test_what_may_wait_is_passed_over_as_soon_as_something_behind_it_is_done(
    make_release: MakeRelease, make_person: MakePerson
) -> None:
    make_person("ada", "administrator")
    assert step("Add a passkey").place is Place.NEXT
    make_release("1.0.0")
    found = {step.title: step.place for step in first_steps(None).steps}
    assert found["Add a passkey"] is found["Invite a second person"] is Place.LEFT_OUT
    assert found["Add a server"] is Place.NEXT
    assert found["Deploy the release"] is Place.LATER


def test_who_is_not_signed_in_reads_nothing_of_what_is_stored(make_release: MakeRelease, ready: Server) -> None:
    def told() -> str:
        page = Client().get("/start/").content.decode()
        return re.sub(r'nonce="[^"]*"|\d\d:\d\d(:\d\d)?', "", page)

    everything = told()
    release = make_release("1.0.0")
    records.deployment(ready, Status.SUCCEEDED, release=release)
    records.deployment(ready, Status.AWAITING_APPROVAL, release=release)
    Secret.objects.create(environment=ready.environment, name="cytube-password", version=1, value="x")
    SigningKey.objects.create(person="ada", name="hers", credential="c", public_key="k", fingerprint="f")
    Server.objects.update(roles=["bot", "monitoring"])
    assert told() == everything
    Server.objects.update(state=Server.State.ENROLLED)
    assert told() == everything
    with_all = {step.fact for step in first_steps(None).steps}
    assert not any(fact in everything for fact in with_all - {"Nobody can give out roles yet"})


def test_what_everything_else_needs_is_never_passed_over(make_release: MakeRelease) -> None:
    make_release("1.0.0")
    page = Client().get("/start/").content.decode()
    assert "0 of 8 done" in page
    assert re.search(r'id="step-1" class="card next"', page)
    assert step("Build a release").done
    assert step("Make an administrator").place is Place.NEXT


def test_a_button_leads_to_where_the_step_is_done_now(
    make_release: MakeRelease, make_person: MakePerson, ready: Server
) -> None:
    make_person("ada", "administrator", "operator")
    Server.objects.update(state=Server.State.ENROLLED)
    assert not step("Add a server", "ada").offered, "nothing to make it ready for"
    make_release("1.0.0")
    for title, label in (
        ("Add a passkey", "Add a passkey"),
        ("Invite a second person", "Invite somebody"),
        ("Add a server", f"Provision {ready.name}"),
        ("Set the secrets", "Set a secret"),
        ("Set up monitoring", "Add a monitoring server"),
    ):
        found = step(title, "ada")
        assert found.label == label
        assert f'href="{found.link}">{label}<' in opened("ada")
        opened("ada", found.link)
    assert not step("Deploy the release", "ada").offered
    Server.objects.update(state=Server.State.PROVISIONED)
    found = step("Deploy the release", "ada")
    assert found.label == "Deploy to test"
    opened("ada", found.link)
    row = records.deployment(ready, Status.AWAITING_APPROVAL)
    assert step("Deploy the release", "ada").label == f"Look at #{row.pk}"


def test_whoever_may_not_do_a_step_is_told_who_may(make_person: MakePerson) -> None:
    make_person("ada", "administrator")
    make_person("vera", "viewer")
    page = opened("vera")
    assert "ada may do this: it takes the role administrator." in page
    assert "Invite somebody" not in page
    assert step("Deploy the release", "vera").who == "Nobody may do this yet: it takes the role operator."
    assert "Add a passkey" in page, "that is her own"
    for name in ("bob", "cleo", "dora", "eve"):
        make_person(name, "administrator")
    assert "ada, bob, cleo or 2 more may do this" in opened("vera")


def test_it_costs_the_same_however_much_there_is(
    make_release: MakeRelease, make_person: MakePerson, ready: Server
) -> None:
    make_person("vera", "viewer")
    make_person("ada", "administrator", "operator", "approver")
    make_person("olga", "operator")
    make_release("1.0.0")
    records.deployment(ready, Status.FAILED)
    actor = user_actor(User.objects.get(username="vera"))

    def queries() -> int:
        with CaptureQueriesContext(connection) as said:
            first_steps(actor)
        return len(said)

    few = queries()
    for number in range(5):
        make_person(f"ada{number}", "administrator", "operator")
        make_release(f"1.1.{number}")
        records.deployment(ready, Status.FAILED)
    assert queries() == few <= 30
