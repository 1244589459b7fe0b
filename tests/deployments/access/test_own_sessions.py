"""Where somebody is signed in, seen and ended by them alone."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.access.own_sessions import end_other_sessions, end_session, sessions_of
from deployments.access.policy import token_actor
from deployments.access.tokens import authenticate
from deployments.models import AuditEvent
from engine.errors import NotAllowed
from tests.deployments.world import World
from tests.fixtures.records import hand_token


def signed_in(who: str, agent: str = "Firefox") -> Client:
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR="203.0.113.7")
    answer = client.post(reverse("admin:login"), {"username": who, "password": f"password of {who}"})
    assert answer.status_code == 302
    return client


def inside(client: Client) -> bool:
    return client.get(reverse("admin:index")).status_code == 200


def identifier(page: Any) -> str:
    found = re.search(r'name="end" value="(\w+)"', page.content.decode())
    assert found
    return found[1]


def test_the_owner_sees_and_ends_one_session_and_all_others(world: World) -> None:
    here, there, third = (signed_in("viewer", agent) for agent in ("Here 1", "There <2>", "Third\r\n3"))
    page = here.get(reverse("admin:account"))
    text = page.content.decode()
    assert all(shown in text for shown in ("203.0.113.7", "Here 1", "There &lt;2&gt;", "This one"))
    assert not [row for row in Session.objects.all() if row.session_key in text]
    assert here.post(reverse("admin:account"), {"end": identifier(page)}).status_code == 302
    assert sorted([inside(there), inside(third)]) == [False, True]
    assert here.post(reverse("admin:account"), {"end_others": "1"}).status_code == 302
    assert (inside(here), inside(there), inside(third)) == (True, False, False)
    ended = AuditEvent.objects.filter(name="person.session_ended")
    assert {(row.actor, row.subject, row.data["address"]) for row in ended} == {
        ("viewer", "person:viewer", "203.0.113.7")
    }
    assert ended.count() == 2


def test_nobody_sees_or_ends_anothers(world: World) -> None:
    mine, theirs = signed_in("operator"), signed_in("viewer")
    found = sessions_of(User.objects.get(username="viewer"), None)[0].identifier
    assert mine.post(reverse("admin:account"), {"end": found}).status_code == 404
    for actor in (world.people["superuser"], world.people["administrator"]):
        with pytest.raises(NotAllowed):
            end_session(actor=actor, person=world.user("viewer"), identifier=found)
        with pytest.raises(NotAllowed):
            end_other_sessions(actor=actor, person=world.user("viewer"), current_key=None)
    token = authenticate(hand_token(world.user("viewer"), "mine"))
    assert token is not None
    with pytest.raises(NotAllowed):
        end_session(actor=token_actor(token), person=world.user("viewer"), identifier=found)
    assert inside(theirs)


def test_use_is_noted_and_makes_no_session_last_longer(world: World) -> None:
    client = signed_in("viewer")
    row = Session.objects.get()
    content = row.get_decoded()
    began = timezone.now() - timedelta(hours=1)
    content["_signed_in"]["seen"] = began.isoformat()
    Session.objects.filter(pk=row.pk).update(session_data=Session.objects.encode(content))
    assert inside(client)
    (found,) = sessions_of(world.user("viewer"), row.session_key)
    assert found.seen is not None
    assert found.seen > began
    assert abs(Session.objects.get().expire_date - row.expire_date) < timedelta(seconds=1)


def test_the_session_one_looks_from_stands_first_then_the_one_used_last(world: World) -> None:
    keys: list[str] = []
    for agent in ("old", "newer", "here"):
        signed_in("viewer", agent)
        keys.append(Session.objects.exclude(session_key__in=keys).get().session_key)
    assert [one.agent for one in sessions_of(world.user("viewer"), keys[0])] == ["old", "here", "newer"]
    assert [one.agent for one in sessions_of(world.user("viewer"), None)] == ["here", "newer", "old"]


def test_a_session_of_an_earlier_password_is_not_listed(world: World) -> None:
    signed_in("viewer")
    person = world.user("viewer")
    person.set_password("another one altogether")
    person.save()
    assert sessions_of(person, None) == []


def test_use_is_noted_once_in_five_minutes(world: World) -> None:
    client = signed_in("viewer")
    (began,) = sessions_of(world.user("viewer"), None)
    assert began.since is not None
    assert began.since == began.seen
    assert timezone.now() - began.since < timedelta(minutes=1)
    assert inside(client)
    assert sessions_of(world.user("viewer"), None) == [began]
    assert (began.by, began.agent, began.address, began.current) == ("password", "Firefox", "203.0.113.7", False)


def test_a_session_that_says_nothing_of_itself_is_listed_last_and_ended_like_any(world: World) -> None:
    """One of a portal from before sessions were described."""
    client = signed_in("viewer")
    session = client.session
    del session["_signed_in"]
    session.save()
    assert inside(client)
    signed_in("viewer", "newer")
    newer, older = sessions_of(world.user("viewer"), None)
    assert (newer.agent, older.agent, older.since, older.seen, older.by) == ("newer", "", None, None, "")
    end_session(actor=world.people["viewer"], person=world.user("viewer"), identifier=older.identifier)
    assert not inside(client)
    assert sessions_of(world.user("viewer"), None) == [newer]


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) Version/17.5 Safari/605.1", "Safari on macOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "A browser that did not say which"),
    ],
)
def test_a_session_is_told_by_browser_and_system(world: World, agent: str, device: str) -> None:
    page = signed_in("viewer", agent).get(reverse("admin:account")).content.decode()
    assert f">{device}</strong>" in page


def test_ones_account_shows_what_acts_in_ones_name_and_offers_no_ending_of_nothing(world: World) -> None:
    client = signed_in("viewer")
    page = client.get(reverse("admin:account")).content.decode()
    assert "No program acts in your name." in page
    assert 'name="end_others"' not in page
    hand_token(world.user("viewer"), "laptop")
    signed_in("viewer")
    page = client.get(reverse("admin:account")).content.decode()
    assert "laptop</a>" in page
    assert 'name="end_others"' in page
