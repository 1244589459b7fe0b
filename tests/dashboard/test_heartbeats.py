"""What bots tell, and what becomes of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from dashboard.health.document import HealthDocument
from dashboard.intervals import RESOLUTIONS
from dashboard.models import BotState, Condition, Sample
from dashboard.services import samples
from dashboard.services.heartbeats import Heartbeat, accept, note_silences
from deployments.models import Scope, Server
from tests.dashboard.conftest import DOCUMENT

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
Enrol = Callable[..., Server]


def beat(server: Server, second: float, *, goodbye: bool = False, sent: datetime = NOON, **changes: Any) -> BotState:
    fields = DOCUMENT | {"uptime": 1000 + second} | changes
    if "connected" in changes:
        fields["status"] = "connected" if changes["connected"] else "disconnected"
    heartbeat = Heartbeat(HealthDocument(**fields), "1.0.0-abc", sent, 2.0, goodbye)
    return accept(server=server, heartbeat=heartbeat, now=NOON + timedelta(seconds=second))


def total(server: Server, resolution: int, field: str) -> float:
    return float(sum(Sample.objects.filter(server=server, resolution=resolution).values_list(field, flat=True)))


class TestEndpoint:
    """`POST /api/v1/heartbeats`."""

    body: dict[str, Any] = {  # noqa: RUF012  (never changed)
        "health": DOCUMENT,
        "release": "1.0.0-abc",
        "sent_at": "2026-05-04T12:00:00Z",
        "response_ms": 1.2,
        "goodbye": False,
    }

    def post(self, client: Client, token: str, body: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return client.post("/api/v1/heartbeats", content, content_type="application/json", headers=headers)

    def test_the_tokens_server_is_heard(self, anyone: Client, enrol: Enrol, token_for: Callable[..., str]) -> None:
        server = enrol()
        answer = self.post(anyone, token_for(Scope.HEARTBEAT, server=server), self.body)
        assert (answer.status_code, answer.content) == (204, b"")
        state = BotState.objects.get(server=server)
        assert (state.connected, state.user_count, state.release) == (True, 3, "1.0.0-abc")
        assert state.sent_at == NOON

    @pytest.mark.parametrize(
        ("scope", "with_server", "status"),
        [(None, False, 401), (Scope.METRICS, True, 403), (Scope.HEARTBEAT, False, 403)],
    )
    def test_others_are_refused(
        self,
        anyone: Client,
        enrol: Enrol,
        token_for: Callable[..., str],
        scope: Scope | None,
        with_server: bool,
        status: int,
    ) -> None:
        server = enrol()
        token = token_for(scope, server=server if with_server else None) if scope else ""
        answer = self.post(anyone, token, self.body)
        assert answer.status_code == status
        assert answer["Content-Type"] == "application/problem+json"
        assert not BotState.objects.exists()

    def test_a_retired_server_is_refused(self, anyone: Client, enrol: Enrol, token_for: Callable[..., str]) -> None:
        server = enrol()
        token = token_for(Scope.HEARTBEAT, server=server)
        Server.objects.filter(pk=server.pk).update(state=Server.State.RETIRED)
        assert self.post(anyone, token, self.body).status_code == 403

    @pytest.mark.parametrize(
        "change",
        [
            {"health": DOCUMENT | {"user_count": "3"}},
            {"health": {}},
            {"health": DOCUMENT | {"channel": "\ud800"}},
            {"sent_at": "yesterday"},
            {"sent_at": "2026-05-04T12:00:00"},
            {"sent_at": "0001-01-01T00:00:00+14:00"},
            {"sent_at": "9999-12-31T23:59:59-12:00"},
            {"response_ms": -1},
            {"response_ms": float("nan")},
            {"release": "../../etc"},
            {"goodbye": "perhaps"},
        ],
    )
    def test_a_lie_is_422_and_changes_nothing(
        self, anyone: Client, enrol: Enrol, token_for: Callable[..., str], change: dict[str, Any]
    ) -> None:
        answer = self.post(anyone, token_for(Scope.HEARTBEAT, server=enrol()), self.body | change)
        assert answer.status_code == 422
        assert answer.json()["errors"]
        assert not BotState.objects.exists()

    @pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"1" * 6000, b"x" * 3_000_000])
    def test_what_is_no_json_is_400(
        self, anyone: Client, enrol: Enrol, token_for: Callable[..., str], content: bytes
    ) -> None:
        answer = self.post(anyone, token_for(Scope.HEARTBEAT, server=enrol()), content)
        assert answer.status_code in {400, 413, 422}
        assert answer["Content-Type"] == "application/problem+json"

    def test_fields_of_a_newer_bot_are_ignored(
        self, anyone: Client, enrol: Enrol, token_for: Callable[..., str]
    ) -> None:
        answer = self.post(anyone, token_for(Scope.HEARTBEAT, server=enrol()), self.body | {"mood": "fine"})
        assert answer.status_code == 204


def test_a_silent_bot_turns_stale_then_down(enrol: Enrol) -> None:
    state = beat(enrol(), 0)
    after = {seconds: state.condition(NOON + timedelta(seconds=seconds)) for seconds in (0, 29, 31, 59, 61, 9999)}
    assert after == {
        0: Condition.CONNECTED,
        29: Condition.CONNECTED,
        31: Condition.STALE,
        59: Condition.STALE,
        61: Condition.DOWN,
        9999: Condition.DOWN,
    }


def test_a_bot_that_said_goodbye_is_stopped_at_once(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    assert beat(server, 5, goodbye=True).condition(NOON + timedelta(seconds=5)) == Condition.STOPPED
    assert beat(server, 15).condition(NOON + timedelta(seconds=15)) == Condition.CONNECTED


@pytest.mark.parametrize("wrong", [datetime(1999, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)])
def test_a_wrong_clock_on_the_bot_is_harmless(enrol: Enrol, wrong: datetime) -> None:
    server = enrol()
    beat(server, 0, sent=wrong)
    state = beat(server, 10, sent=wrong)
    assert state.condition(NOON + timedelta(seconds=10)) == Condition.CONNECTED
    assert total(server, 60, "connected_seconds") == 10


def test_a_portal_clock_that_steps_back_credits_nothing(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 100)
    state = beat(server, 0)
    assert total(server, 86400, "connected_seconds") == 0
    assert state.condition(NOON) == Condition.CONNECTED


def test_one_heartbeat_is_added_to_every_resolution(enrol: Enrol) -> None:
    server = enrol()
    for second in (0, 10, 20):
        beat(server, second, user_count=2 + second, requests=5 + second)
    assert set(Sample.objects.values_list("resolution", flat=True)) == set(RESOLUTIONS)
    assert Sample.objects.filter(resolution=10).count() == 3
    minute = Sample.objects.get(resolution=60)
    assert (minute.beats, minute.users_sum, minute.users_max) == (3, 36, 22)
    assert (minute.requests, minute.errors) == (20, 0)
    assert (minute.response_sum, minute.response_beats, minute.response_max) == (6.0, 3, 2.0)
    for resolution in RESOLUTIONS:
        assert total(server, resolution, "connected_seconds") == 20
        assert total(server, resolution, "requests") == 20


def test_counters_that_begin_anew_count_as_a_start(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0, requests=100, errors=4)
    beat(server, 10, requests=103, errors=5)
    beat(server, 20, uptime=2, requests=1, errors=0)
    assert total(server, 86400, "requests") == 4
    assert total(server, 86400, "errors") == 1
    assert total(server, 86400, "starts") == 1


def test_a_shorter_uptime_is_a_start_even_when_the_counters_are_higher(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0, requests=3, errors=0)
    beat(server, 10, uptime=2, requests=7, errors=1)
    assert total(server, 86400, "requests") == 7
    assert total(server, 86400, "errors") == 1
    assert total(server, 86400, "starts") == 1


def test_silence_and_absence_count_as_not_in_the_room(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    beat(server, 60)  # short enough a silence to be believed
    beat(server, 121)  # too long
    beat(server, 131, connected=False)
    beat(server, 141)  # it was away before
    beat(server, 151)
    assert total(server, 3600, "connected_seconds") == 70


def test_a_silence_is_absence_for_as_long_as_the_portal_listens(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    beat(server, 10)
    for second in range(60, 660, 60):
        note_silences(NOON + timedelta(seconds=second))
    assert total(server, 3600, "connected_seconds") == 10
    assert total(server, 3600, "observed_seconds") == 600
    beat(server, 610)
    assert total(server, 3600, "observed_seconds") == 610
    assert total(server, 3600, "beats") == 3


def test_what_happened_while_the_portal_was_off_is_not_observed(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    beat(server, 10)
    note_silences(NOON + timedelta(seconds=3000))  # the first minute of a portal that was off
    assert total(server, 86400, "observed_seconds") == 10
    note_silences(NOON + timedelta(seconds=3060))
    assert total(server, 86400, "observed_seconds") == 70
    beat(server, 3070)
    beat(server, 7000)
    assert total(server, 86400, "observed_seconds") == 80
    assert total(server, 86400, "connected_seconds") == 10


def test_changed_at_tells_when_it_entered_or_left(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    beat(server, 10)
    assert beat(server, 20, connected=False).changed_at == NOON + timedelta(seconds=20)
    assert beat(server, 30, connected=False).changed_at == NOON + timedelta(seconds=20)
    assert beat(server, 40).first_heard_at == NOON


@pytest.mark.parametrize(
    ("second", "changes", "moved"),
    [
        (110, {}, False),
        (160, {}, False),
        (161, {}, True),
        (110, {"uptime": 5}, True),
        (110, {"requests": 0}, True),
        (110, {"goodbye": True}, True),
    ],
)
def test_since_when_it_is_what_it_is_counts_anew_after_a_silence_and_for_a_new_process(
    second: float, changes: dict[str, Any], moved: bool, enrol: Enrol
) -> None:
    server = enrol()
    beat(server, 0, requests=10)
    beat(server, 50, requests=10)
    assert beat(server, 100, requests=10).changed_at == NOON
    at = beat(server, second, **{"requests": 10} | changes).changed_at
    assert at == (NOON + timedelta(seconds=second) if moved else NOON)


def test_a_second_farewell_is_no_change_and_coming_back_is(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    assert beat(server, 10, goodbye=True).changed_at == NOON + timedelta(seconds=10)
    assert beat(server, 20, goodbye=True).changed_at == NOON + timedelta(seconds=10)
    assert beat(server, 30).changed_at == NOON + timedelta(seconds=30)


def test_a_gap_in_which_the_portal_did_not_ask_is_none_of_the_service(enrol: Enrol) -> None:
    server = enrol()
    for second in (0, 1000):
        heartbeat = Heartbeat(HealthDocument(**DOCUMENT | {"uptime": 50 + second}), "1.0.0-abc", NOON, 2.0, probed=True)
        state = accept(server=server, heartbeat=heartbeat, now=NOON + timedelta(seconds=second))
    assert state.changed_at == NOON


def test_a_heartbeat_costs_a_fixed_number_of_queries(
    enrol: Enrol, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    server = enrol()
    beat(server, 0)
    with django_assert_max_num_queries(6):  # savepoint, standing, state, samples, state, release
        beat(server, 10)


def test_old_samples_go_by_their_resolution(enrol: Enrol) -> None:
    server = enrol()
    beat(server, 0)
    assert samples.prune(NOON + timedelta(hours=1)) == 0
    assert samples.prune(NOON + timedelta(hours=3)) == 1
    assert not Sample.objects.filter(resolution=10).exists()
    assert samples.prune(NOON + timedelta(days=99)) == 2
    assert set(Sample.objects.values_list("resolution", flat=True)) == {3600, 86400}
