"""A push becomes a release and a request, over HTTP with a real repository; whatever is not one becomes nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deployments import tasks
from deployments.core import queueing
from deployments.environments.applications import bind
from deployments.environments.locks import lock_environment
from deployments.github.accounts import link_account, unlink_account
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, Push, PushSource, Release
from deployments.requests.approvals import approve
from deployments.requests.seals import broken_seal
from deployments.sources import building
from deployments.sources.building import actor_of
from deployments.sources.registry import alone, end_source, make_source, mirror
from engine.errors import InvalidRequest, NotAllowed, PortalError
from tests.deployments.sources.git_host import TOKEN, GitHost, body_of, deliver, git_host, said_of_push, signed
from tests.deployments.world import World
from tests.engine.artifacts.projects import git

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
KINDS = ["github", "gitlab", "gitea"]
Make = Callable[..., PushSource]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    with git_host(tmp_path / "host") as running:
        yield running


@pytest.fixture
def make(transactional_db: None, world: World, host: GitHost, settings: Any) -> Make:
    """`make(environment="production")`: a source of the host's repository, by an administrator."""
    settings.GITHUB_ISSUER = f"{host.url}/_services/token"  # whose accounts are linked here

    def made(kind: str = "github", environment: str = "test", who: str = "administrator", **more: Any) -> PushSource:
        home = Environment.objects.get(name=environment)
        given = {"name": "dice", "kind": kind, "url": host.repository(), "ref": "refs/heads/main", **more}
        return make_source(actor=world.people[who], environment=home, **given)

    return made


@pytest.fixture
def send(live_server: Any) -> Callable[..., Any]:
    """`send(source, commit)`: a delivery as the source's host signs it."""

    def delivered(source: PushSource, commit: str, headers: dict[str, str] | None = None, **about: Any) -> Any:
        body = about.pop("body", None) or body_of(said_of_push(source.kind, commit, **about))
        proof = signed(source.kind, str.__str__(source.secret), body, **(headers or {}))
        return deliver(f"{live_server.url}/api/v1/push/{source.name}", proof, body)

    return delivered


def work() -> list[str]:
    """What the queued builds come to, as a worker runs them."""
    queued = Push.objects.filter(state=Push.State.QUEUED).order_by("pk").values_list("pk", flat=True)
    return [tasks.build_push(number) or "" for number in queued]


@pytest.mark.parametrize("kind", KINDS)
def test_a_push_is_built_by_its_commit_and_asked_for_where_an_environment_follows_it(
    kind: str, make: Make, send: Callable[..., Any], host: GitHost
) -> None:
    source = make(kind)
    commit = host.push("Louder dice", version="2.0.0")
    answer = send(source, commit)
    assert (answer.status_code, answer.json()["state"], answer.json()["new"]) == (202, "queued", True)
    assert queueing.waits("deployments.tasks.build_push", answer.json()["push"])
    assert work() == ["requested"]
    push = Push.objects.get()
    release, row = Release.objects.get(version=f"2.0.0+g{commit[:7]}"), Deployment.objects.get()
    assert (push.release, push.deployment, row.release) == (release, row, release)
    assert (row.status, row.environment, release.commit) == (Status.QUEUED, source.environment, commit)
    assert row.requested_by == "token:push:dice"
    assert row.reason.startswith(f"Push of {commit[:10]} to refs/heads/main by alice")
    assert broken_seal(row) == [], "a worker would run it"
    assert tasks.build_push(push.pk) == "not taken", "delivered twice by the queue"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", ["none", "another secret", "another body", "not hexadecimal", "another kind's", "not ASCII"]
)
def test_what_is_not_signed_is_refused_and_not_read(
    kind: str, wrong: str, make: Make, host: GitHost, live_server: Any
) -> None:
    source = make(kind)
    body = body_of(said_of_push(kind, "a" * 40))
    secret = str.__str__(source.secret)
    proof = {"github": "X-Hub-Signature-256", "gitlab": "X-Gitlab-Token", "gitea": "X-Gitea-Signature"}[kind]
    headers = {
        "none": lambda: signed(kind, secret, body, **{proof: ""}),
        "another secret": lambda: signed(kind, "another", body),
        "another body": lambda: signed(kind, "another" if kind == "gitlab" else secret, body + b" "),
        "not hexadecimal": lambda: signed(kind, secret, body, **{proof: "sha256=zz"}),
        "another kind's": lambda: signed("gitlab" if kind != "gitlab" else "github", secret, body),
        "not ASCII": lambda: signed(kind, secret, body, **{proof: "sha256=\u00fc"}),
    }[wrong]()
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = deliver(f"{live_server.url}/api/v1/push/dice", encoded, body)
    assert (answer.status_code, answer.json()["reason"]) == (403, "push_unsigned")
    assert answer.headers["Content-Type"] == "application/problem+json"
    unknown = deliver(f"{live_server.url}/api/v1/push/nobody", signed(kind, secret, body), body)
    assert {**unknown.json()} == {**answer.json()}, "whether there is such a source is nobody's business"
    assert not Push.objects.exists()


def test_a_delivery_is_taken_once_by_its_id_and_by_what_it_says(
    make: Make, send: Callable[..., Any], host: GitHost
) -> None:
    source = make()
    first = host.push("Louder dice", version="2.0.0")
    number = {"X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    pushed = send(source, first, number).json()["push"]
    work()
    for again in (send(source, first, number), send(source, first), send(source, host.push("More"), number)):
        assert (again.status_code, again.json()["new"], again.json()["push"]) == (200, False, pushed)
    assert Push.objects.count() == Deployment.objects.count() == 1


def test_an_old_push_sent_again_in_other_words_changes_nothing(
    make: Make, send: Callable[..., Any], host: GitHost
) -> None:
    source = make()
    old = host.push("Louder dice", version="2.0.0")
    new = host.push("Quieter dice")
    assert send(source, new).status_code == 202
    assert work() == ["requested"]
    document = {**said_of_push("github", old), "pushed_at": 1}
    assert send(source, old, body=body_of(document)).status_code == 202
    assert work() == ["ignored"]
    assert f"is at {new[:10]} by now" in Push.objects.latest("pk").sentence
    assert Deployment.objects.count() == 1


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"ref": "refs/heads/other"}, "test follows refs/heads/main alone"),
        ({"ref": "refs/heads/main2"}, "test follows refs/heads/main alone"),
        ({"ref": "refs/tags/main"}, "test follows refs/heads/main alone"),
        ({"commit": "0" * 40}, "was deleted"),
    ],
)
def test_what_nobody_follows_is_listed_and_left(
    about: dict[str, str], says: str, make: Make, send: Callable[..., Any]
) -> None:
    answer = send(make(), about.get("commit", "a" * 40), ref=about.get("ref", "refs/heads/main"))
    assert (answer.status_code, answer.json()["state"]) == (200, "ignored")
    assert says in Push.objects.get().sentence
    assert work() == []


@pytest.mark.parametrize("other", ["acme/other", "evil/acme/dice", "dice", "", "acme/dice.git/x"])
def test_a_delivery_of_another_repository_is_refused(other: str, make: Make, send: Callable[..., Any]) -> None:
    answer = send(make(), "a" * 40, of=other)
    assert (answer.status_code, answer.json()["reason"]) == (403, "other_repository")
    assert not Push.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 422, "invalid"),
        (b"payload=%7B%7D", 422, "invalid"),
        (b"[" * 100_000, 422, "invalid"),
        (b'{"ref": ' + b'{"a": ' * 50_000 + b"1" + b"}" * 50_001, 422, "invalid"),
        (b'{"ref": "refs/heads/main", "after": 7}', 422, "invalid"),
        (body_of(said_of_push("github", "a" * 40, ref="refs/heads/a b")), 422, "invalid"),
        (body_of(said_of_push("github", "a" * 40, ref="refs/heads/" + "a" * 250)), 422, "invalid"),
        (body_of(said_of_push("github", "A" * 40)), 422, "invalid"),
        (body_of(said_of_push("github", "--upload-pack=x".ljust(40, "x"))), 422, "invalid"),
        (b"\xff\xfe", 422, "invalid"),
        (b" " * 2_700_000, 413, "too_large"),
    ],
)
def test_what_is_signed_and_says_nothing_that_is_a_push_is_refused(
    body: bytes, status: int, reason: str, make: Make, send: Callable[..., Any]
) -> None:
    answer = send(make(), "", body=body or b"{}")
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not Push.objects.exists()


def test_a_ping_is_answered_and_a_delivery_without_a_number_is_not_taken(make: Make, send: Callable[..., Any]) -> None:
    source = make()
    answer = send(source, "a" * 40, {"X-GitHub-Event": "ping"})
    assert (answer.status_code, answer.json()["push"]) == (200, None)
    assert send(source, "a" * 40, {"X-GitHub-Delivery": ""}).status_code == 422


def test_in_a_protected_environment_whoever_pushed_asks_and_never_approves(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    source = make(environment="production")
    world.link_github("requester")
    send(source, host.push("Louder dice", version="2.0.0"))
    assert work() == ["requested"]
    row = Deployment.objects.get()
    assert (row.status, row.requested_by) == (Status.AWAITING_APPROVAL, "requester/token:push:dice")
    assert (row.release.version, row.release.tag) == ("2.0.0", "")
    with pytest.raises(NotAllowed) as refused:
        approve(actor=world.people["requester"], deployment=row)
    assert refused.value.reason == "four_eyes"
    approve(actor=world.people["approver"], deployment=row)
    row.refresh_from_db()
    assert (row.status, broken_seal(row)) == (Status.QUEUED, [])


def test_what_an_account_pushes_that_nobody_has_confirmed_is_nobodys(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    """Whoever links a colleague's account asks for nothing by that one's pushes."""
    source = make(environment="production")
    link_account(actor=world.people["operator"], person=world.user("operator"), login="alice-gh", account_id=1001)
    send(source, host.push("Louder dice", version="2.0.0"))
    assert work() == ["failed"]
    push = Push.objects.get()
    assert (push.person, "Nobody here is known" in push.sentence) == ("", True)
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("column", ["person", "digest", "commit", "ref"])
def test_a_row_that_was_changed_is_nobodys_push(
    column: str, make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    """Who asks is what the trail knows was signed, and not what somebody wrote into the table since."""
    source = make(environment="production")
    world.link_github("operator")
    world.link_github("requester", 1002, "requester-gh")
    send(source, host.push("Louder dice", version="2.0.0"))
    push = Push.objects.get()
    assert actor_of(push).person == "operator"
    Push.objects.update(**{column: {"person": "requester"}.get(column, "f" * 40)})
    push.refresh_from_db()
    assert actor_of(push).person == ""
    if column == "person":
        assert work() == ["failed"]
        assert not Deployment.objects.exists()


def test_whose_account_is_theirs_no_more_asks_for_nothing(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    source = make(environment="production")
    world.link_github("operator")
    send(source, host.push("Louder dice", version="2.0.0"))
    unlink_account(actor=world.people["administrator"], person=world.user("operator"))
    assert work() == ["failed"]
    assert not Deployment.objects.exists()


def test_a_row_that_somebody_wrote_is_nobodys_push(make: Make, world: World) -> None:
    source = make(environment="production")
    world.link_github("operator")
    row = Push.objects.create(source=source, number="1", digest="d", ref=source.ref, commit="a" * 40, person="operator")
    assert actor_of(row).person == ""


def test_whoever_made_the_source_could_have_said_that_anybody_pushed(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    source = make(environment="production", who="superuser")
    world.link_github("operator")
    send(source, host.push("Louder dice", version="2.0.0"))
    assert work() == ["requested"]
    row = Deployment.objects.get()
    assert row.requested_by == "operator/token:push:dice"
    PushSource.objects.update(created_by="administrator")  # the trail knows better than the row
    with pytest.raises(NotAllowed) as refused:
        approve(actor=world.people["superuser"], deployment=row)
    assert refused.value.reason == "four_eyes"
    approve(actor=world.people["approver"], deployment=row)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_here_is_known_to_have_pushed_asks_for_nothing_where_approvals_are_needed(
    kind: str, make: Make, send: Callable[..., Any], host: GitHost
) -> None:
    source = make(kind, environment="production")
    send(source, host.push("Louder dice", version="2.0.0"))
    assert work() == ["failed"]
    push = Push.objects.get()
    assert "Nobody here is known" in push.sentence
    assert push.release is not None, "a person can ask for it"
    assert not Deployment.objects.exists()


def test_accounts_of_another_host_are_nobody_here(
    make: Make, send: Callable[..., Any], host: GitHost, world: World, settings: Any
) -> None:
    settings.GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
    world.link_github("requester")
    send(make(environment="production"), host.push("Louder dice", version="2.0.0"))
    assert work() == ["failed"]
    assert not Deployment.objects.exists()


def test_tags_ask_where_tags_are_taken(make: Make, send: Callable[..., Any], host: GitHost, world: World) -> None:
    Environment.objects.filter(name="production").update(releases_from="tags")
    source = make(environment="production", ref="refs/tags/v*")
    world.link_github("operator")
    host.push("Louder dice", version="2.0.0")
    git(host.work, "tag", "--annotate", "--message=two", "v2.0.0")
    host.publish("refs/tags/v2.0.0", "v2.0.0")
    tag = git(host.work, "rev-parse", "v2.0.0")
    assert send(source, tag, ref="refs/tags/v2.0.0").status_code == 202
    assert work() == ["requested"]
    assert Deployment.objects.get().release.tag == "v2.0.0"


def test_a_private_repository_is_read_with_its_token_which_nothing_tells(
    make: Make, send: Callable[..., Any], host: GitHost, caplog: pytest.LogCaptureFixture
) -> None:
    closed = make(url=host.repository("acme/private"))
    commit = host.push("Louder dice", version="2.0.0")
    send(closed, commit, of="acme/private")
    assert work() == ["failed"]
    assert "cannot fetch" in Push.objects.get().sentence
    opened = make(name="open", url=host.repository("acme/private"), access_token=TOKEN)
    send(opened, commit, of="acme/private")
    assert work() == ["requested"]
    kept = json.dumps([event.data for event in AuditEvent.objects.all()]) + caplog.text
    kept += "".join(path.read_text(errors="replace") for path in mirror(opened).rglob("*") if path.is_file())
    assert TOKEN not in kept
    assert str.__str__(opened.secret) not in kept


def test_a_repository_that_sends_elsewhere_is_not_followed(make: Make, send: Callable[..., Any], host: GitHost) -> None:
    send(make(url=host.repository("acme/moved")), "a" * 40, of="acme/moved")
    assert work() == ["failed"]


def test_a_busy_environment_is_waited_for(
    make: Make, send: Callable[..., Any], host: GitHost, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = world.request(environment="test")
    source = make()
    send(source, host.push("Louder dice", version="2.0.0"))
    assert work() == ["later"]
    push = Push.objects.get()
    assert push.sentence.startswith("It waits.")
    Deployment.objects.filter(pk=busy.pk).update(status=Status.SUCCEEDED, finished_at=timezone.now())
    assert work() == ["requested"]
    Deployment.objects.filter(status=Status.QUEUED).update(requested_at=timezone.now())
    send(source, host.push("Quieter dice"))
    monkeypatch.setattr(building, "WAITED_FOR", building.TAKEN_FOR * 0)
    assert work() == ["failed"]
    assert "Given up" in Push.objects.latest("pk").sentence


def test_a_locked_environment_takes_no_push_and_says_so(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    lock_environment(actor=world.people["operator"], environment=world.test, reason="exams")
    send(make(), host.push("Louder dice", version="2.0.0"))
    assert work() == ["failed"]
    assert "exams" in Push.objects.get().sentence


def test_what_cannot_be_built_says_why(make: Make, send: Callable[..., Any], host: GitHost) -> None:
    (host.work / "deploy.toml").write_text("nonsense\n")
    send(make(), host.push("Broken"))
    assert work() == ["failed"]
    assert "deploy.toml" in Push.objects.get().sentence


def test_a_repository_builds_what_its_environment_runs_and_nothing_else(
    make: Make, send: Callable[..., Any], host: GitHost
) -> None:
    Environment.objects.filter(name="test").update(application="tea-bot")
    send(make(), host.push("Not tea", version="2.0.0"))
    assert work() == ["failed"]
    assert not Release.objects.filter(version__startswith="2.0.0").exists()


@pytest.mark.parametrize("known", [True, False])
def test_without_an_application_a_repository_takes_no_name_that_another_environment_has(
    known: bool, make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    """Nobody has said yet what that environment runs: what calls itself dice-bot could become production's newest."""
    if known:
        bind(world.production, "dice-bot")
    source = make()
    before = set(Release.objects.values_list("pk", flat=True))
    send(source, host.push("Not the dice bot", version="2.0.0"))
    assert work() == (["failed"] if known else ["requested"])
    added = Release.objects.exclude(pk__in=before)
    assert added.exists() is not known
    if known:
        assert "test belongs to no application yet, and dice-bot is one that other" in Push.objects.get().sentence
        bind(world.test, "dice-bot")
        send(source, host.push("The dice bot"))
        assert work() == ["requested"]


def test_a_worker_that_dies_leaves_a_sentence(make: Make, send: Callable[..., Any], host: GitHost) -> None:
    send(make(), host.push("Louder dice", version="2.0.0"))
    Push.objects.update(state=Push.State.BUILDING, taken_at=timezone.now())
    tasks.expire_requests()
    assert Push.objects.get().state == Push.State.BUILDING
    Push.objects.update(taken_at=timezone.now() - building.TAKEN_FOR)
    tasks.expire_requests()
    assert Push.objects.get().state == Push.State.FAILED


def test_a_source_that_ended_takes_nothing_and_leaves_no_files(
    make: Make, send: Callable[..., Any], host: GitHost, world: World
) -> None:
    source = make()
    commit = host.push("Louder dice", version="2.0.0")
    send(source, commit)
    work()
    assert mirror(source).exists()
    send(source, host.push("Quieter dice"))
    end_source(actor=world.people["administrator"], source=source)
    assert work() == ["ignored"]
    assert not mirror(source).exists()
    assert send(source, commit).status_code == 403
    with pytest.raises(PortalError, match="was, a push source"):
        make()


def test_ending_a_source_waits_for_no_build_and_the_build_cleans_up(make: Make, world: World) -> None:
    source = make()
    mirror(source).mkdir(parents=True)
    ended = threading.Event()

    def end() -> None:
        end_source(actor=world.people["administrator"], source=source)
        connection.close()
        ended.set()

    with alone(source):
        threading.Thread(target=end, daemon=True).start()
        assert ended.wait(60)
        assert mirror(source).exists(), "somebody builds of it"
    assert not mirror(source).exists()


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"url": url}
            for url in ("http://example.org/a/b.git", "https://u:p@example.org/a/b", "ssh://git@h/a/b", "-x")
        ),
        *({"url": url} for url in ("file:///etc/passwd", "ext::sh -c id", "https://example.org/a", "/srv/git/a")),
        *({"ref": ref} for ref in ("main", "refs/heads/*", "refs/heads/a b", "refs/notes/x")),
        *({"name": name} for name in ("", "Dice", "a/b")),
        {"kind": "bitbucket"},
        {"access_token": "a\nb"},
    ],
)
def test_a_source_that_could_be_something_else_is_not_made(wrong: dict[str, str], make: Make) -> None:
    with pytest.raises(InvalidRequest):
        make(**wrong)
    assert not PushSource.objects.exists()


def test_old_pushes_go_and_those_under_way_stay(
    make: Make, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.sources.receiving.KEPT", 2)
    source = make()
    send(source, "a" * 40)
    for digit in "1234":
        send(source, digit * 40, ref="refs/heads/other")
    assert [push.commit[0] for push in Push.objects.all()] == ["4", "3", "a"]
