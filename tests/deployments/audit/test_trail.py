"""The audit trail: written once, chained, and every way of tampering with it is found and named."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from deployments import checks
from deployments.access.export import export
from deployments.audit import trail as audit
from deployments.core.actors import system_actor
from deployments.models import AuditEvent, audit_triggers
from engine.errors import InvalidRequest, NotAllowed
from tests.deployments.world import World

TABLE = audit_triggers.TABLE
DATA: list[dict[str, Any]] = [
    {"reason": "plain"},
    {"nested": {"list": [1, 2.5, None, True, "ü – 雪"]}, "big": 2**62},
    {"float": 1e22, "small": 1e-7, "zero": -0.0, "whole": 100.0, "strange": float("nan")},
    {"null byte": "a\x00b", "emoji": "🚀", "quote": "'\"\\"},
    {},
]


@pytest.fixture
def trail(db: None) -> list[AuditEvent]:
    """Ten events of every kind of content."""
    for number in range(10):
        with transaction.atomic():
            audit.record(
                actor=system_actor("tests"),
                name=f"thing.done_{number}",
                subject=f"thing:{number}",
                data=DATA[number % len(DATA)],
            )
    return list(AuditEvent.objects.order_by("sequence"))


@pytest.fixture
def behind_its_back(trail: list[AuditEvent]) -> Callable[..., None]:
    """Run SQL on the table as somebody would who has dropped the triggers first, and put them back."""

    def run(*statements: str) -> None:
        with connection.cursor() as cursor:
            for name in [*audit_triggers.SQLITE, *audit_triggers.POSTGRES]:
                on = "" if connection.vendor == "sqlite" else f" ON {TABLE}"
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")
            for statement in statements:
                cursor.execute(statement)
        audit_triggers.reinstall()

    return run


def _sentences(head: audit.Head | None = None) -> list[str]:
    return [problem.sentence for problem in audit.verify(head)]


def test_an_untouched_trail_is_whole(trail: list[AuditEvent]) -> None:
    assert _sentences(audit.head()) == []
    assert [event.sequence for event in trail] == list(range(1, 11))


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {TABLE} SET actor = 'somebody' WHERE sequence = 3",
        f"DELETE FROM {TABLE} WHERE sequence = 3",
        f"DELETE FROM {TABLE}",
    ],
)
def test_the_database_refuses_to_change_or_delete_events(trail: list[AuditEvent], statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match=audit_triggers.REFUSAL),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert _sentences() == []


def test_the_orm_cannot_either(trail: list[AuditEvent]) -> None:
    for change in (
        lambda: AuditEvent.objects.update(actor="somebody"),
        lambda: AuditEvent.objects.all().delete(),
        lambda: trail[2].delete(),
        lambda: trail[2].save(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_postgresql_refuses_to_truncate(trail: list[AuditEvent]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no TRUNCATE: there it is a DELETE, which is refused too")
    with (
        pytest.raises(DatabaseError, match=audit_triggers.REFUSAL),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"TRUNCATE {TABLE}")


def test_an_event_is_accepted_only_as_the_next_of_the_chain(trail: list[AuditEvent]) -> None:
    last = trail[-1]
    for sequence, previous in ((last.sequence + 2, last.hash), (last.sequence + 1, "0" * 64), (3, trail[1].hash)):
        forged = AuditEvent(
            sequence=sequence, at=last.at, actor="x", name="x.y", subject="x", previous_hash=previous, hash="f" * 64
        )
        with pytest.raises(DatabaseError), transaction.atomic():
            forged.save(force_insert=True)


def test_sqlite_cannot_replace_an_event(trail: list[AuditEvent]) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("INSERT OR REPLACE is SQLite's")
    columns = "sequence, at, actor, name, subject, environment, data, previous_hash, hash"
    for sequence, digest in ((3, "'x'"), (11, f"'{trail[2].hash}'")):
        statement = (
            f"INSERT OR REPLACE INTO {TABLE} ({columns}) SELECT {sequence}, at, 'forger', name, subject, "
            f"environment, data, '{trail[-1].hash}', {digest} FROM {TABLE} WHERE sequence = 3"
        )
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert _sentences() == []


@pytest.mark.parametrize(
    "column",
    [
        "actor = 'somebody else'",
        "name = 'thing.undone'",
        "subject = 'thing:99'",
        "environment = 'production'",
        'data = \'{"reason": "another"}\'',
        "at = '2020-01-01 00:00:00'",
    ],
)
def test_an_edited_event_is_named(column: str, behind_its_back: Callable[..., None]) -> None:
    behind_its_back(f"UPDATE {TABLE} SET {column} WHERE sequence = 4")
    assert len(_sentences()) == 1
    assert _sentences()[0].startswith("Event 4 (")
    assert _sentences()[0].endswith("was altered.")


def test_an_edited_event_with_a_hash_made_to_fit_is_found_by_the_next_one(
    trail: list[AuditEvent], behind_its_back: Callable[..., None]
) -> None:
    forged = trail[3]
    forged.actor = "somebody else"
    behind_its_back(f"UPDATE {TABLE} SET actor = 'somebody else', hash = '{audit.digest(forged)}' WHERE sequence = 4")
    assert [sentence[:17] for sentence in _sentences()] == ["Event 5 (thing.do"]
    assert "does not follow the event before it" in _sentences()[0]


@pytest.mark.parametrize("years", [-25, 25])
def test_an_event_with_a_date_out_of_order_is_named(
    trail: list[AuditEvent], monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    def record() -> None:
        with transaction.atomic():
            audit.record(actor=system_actor("tests"), name="thing.done", subject="thing:11")

    with monkeypatch.context() as patch:
        at = timezone.now() + timedelta(days=365 * years)
        patch.setattr(timezone, "now", lambda: at)
        record()
    found = audit.verify()
    assert [problem.sequence for problem in found] == [11]
    assert f"{at:%Y-%m-%d}" in found[0].sentence
    record()
    assert [problem.sequence for problem in audit.verify()] == [11 if years < 0 else 12]


def test_a_clock_that_is_set_back_a_little_is_no_problem(
    trail: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        at = timezone.now() - timedelta(minutes=4)
        patch.setattr(timezone, "now", lambda: at)
        with transaction.atomic():
            audit.record(actor=system_actor("tests"), name="thing.done", subject="thing:11")
    assert _sentences() == []


def test_a_deleted_event_is_named(behind_its_back: Callable[..., None]) -> None:
    behind_its_back(f"DELETE FROM {TABLE} WHERE sequence = 4")
    assert _sentences() == ["Event 4 is missing."]


def test_deleted_events_at_the_beginning_are_named(behind_its_back: Callable[..., None]) -> None:
    behind_its_back(f"DELETE FROM {TABLE} WHERE sequence <= 3")
    assert _sentences() == ["Events 1 to 3 are missing."]


def test_swapped_events_are_named(behind_its_back: Callable[..., None]) -> None:
    behind_its_back(
        f"UPDATE {TABLE} SET sequence = 99 WHERE sequence = 4",
        f"UPDATE {TABLE} SET sequence = 4 WHERE sequence = 5",
        f"UPDATE {TABLE} SET sequence = 5 WHERE sequence = 99",
    )
    named = {problem.sequence for problem in audit.verify()}
    assert {4, 5} <= named


def test_an_inserted_event_is_named(trail: list[AuditEvent], behind_its_back: Callable[..., None]) -> None:
    columns = "at, actor, name, subject, environment, data, previous_hash"
    behind_its_back(
        *(f"UPDATE {TABLE} SET sequence = {n + 1} WHERE sequence = {n}" for n in range(10, 4, -1)),
        f"INSERT INTO {TABLE} (sequence, hash, {columns}) SELECT 5, 'f', {columns} FROM {TABLE} WHERE sequence = 4",
    )
    assert 5 in {problem.sequence for problem in audit.verify()}


def test_an_event_inserted_before_the_first_is_named(behind_its_back: Callable[..., None]) -> None:
    columns = "at, actor, name, subject, environment, data, previous_hash"
    behind_its_back(
        f"INSERT INTO {TABLE} (sequence, hash, {columns}) SELECT 0, 'f', {columns} FROM {TABLE} WHERE sequence = 1"
    )
    assert "Event 0 (thing.done_0) was inserted: no event has that number." in _sentences()


def test_a_cut_tail_is_found_by_a_head_kept_elsewhere(behind_its_back: Callable[..., None]) -> None:
    kept = audit.head()
    behind_its_back(f"DELETE FROM {TABLE} WHERE sequence >= 8")
    assert _sentences() == []
    assert _sentences(kept) == ["Events 8 to 10 are missing: the tail was cut off."]


def test_a_chain_written_anew_is_found_by_a_head_kept_elsewhere(
    trail: list[AuditEvent], behind_its_back: Callable[..., None]
) -> None:
    kept = audit.head()
    statements, previous = [], audit.GENESIS
    for event in trail:
        event.actor, event.previous_hash = "innocent", previous
        previous = audit.digest(event)
        statements.append(
            f"UPDATE {TABLE} SET actor = 'innocent', previous_hash = '{event.previous_hash}', hash = '{previous}' "
            f"WHERE sequence = {event.sequence}"
        )
    behind_its_back(*statements)
    assert _sentences() == []
    assert _sentences(kept) == ["Event 10 (thing.done_9) is not the one whose head was given."]


def test_a_missing_or_altered_trigger_is_a_problem_and_is_put_back(trail: list[AuditEvent]) -> None:
    name = f"{TABLE}_no_update"
    on = "" if connection.vendor == "sqlite" else f" ON {TABLE}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")
    assert _sentences() == [f"The trigger {name} is missing or altered: events could be rewritten."]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {TABLE} BEGIN SELECT 1; END")
        else:
            cursor.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$")
            cursor.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION nothing()")
    assert [found.id for found in checks.triggers(databases=["default"])] == ["deployments.W001"]
    audit_triggers.reinstall()
    assert _sentences() == []
    assert checks.triggers(databases=["default"]) == []


def test_a_disabled_trigger_is_a_problem(trail: list[AuditEvent]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite cannot disable a trigger")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER {TABLE}_no_delete")
    assert _sentences() == [f"The trigger {TABLE}_no_delete is missing or altered: events could be rewritten."]


def test_an_event_is_written_in_the_transaction_of_its_change(transactional_db: None) -> None:
    with pytest.raises(RuntimeError, match="in the transaction of its change"):
        audit.record(actor=system_actor("tests"), name="a.b", subject="c")


def test_the_export_ends_with_its_own_event_and_the_head(world: World) -> None:
    lines = [json.loads(line) for line in export(actor=world.people["approver"])]
    assert lines[-2]["name"] == "audit.exported"
    assert (lines[-2]["actor"], lines[-2]["subject"]) == ("approver", "audit")
    assert lines[-1]["head"] == f"{lines[-2]['sequence']}:{lines[-2]['hash']}"
    assert audit.verify(audit.Head.parse(lines[-1]["head"])) == []
    assert lines[-1].keys() == {"head", "exported_at"}
    assert datetime.fromisoformat(lines[-1]["exported_at"]) >= datetime.fromisoformat(lines[-2]["at"])


def test_only_approvers_and_administrators_export(world: World) -> None:
    with pytest.raises(NotAllowed):
        export(actor=world.people["operator"])


def test_the_command_names_problems_and_exits_with_1(
    behind_its_back: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit", "verify", "--head", str(audit.head()))
    assert "The chain is whole: 10 events" in capsys.readouterr().out
    behind_its_back(f"DELETE FROM {TABLE} WHERE sequence = 4")
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "verify")
    assert ended.value.code == 1
    assert "Event 4 is missing." in capsys.readouterr().err


def test_what_is_no_head_is_said_to_be_none() -> None:
    with pytest.raises(InvalidRequest, match="is no audit head"):
        audit.Head.parse("12:abc")


def test_changes_are_told_field_by_field() -> None:
    before = {"order": 1, "configuration": {"bot.json": {"a": 1, "b": 2}, "old.json": {}}}
    after = {"order": 2, "configuration": {"bot.json": {"a": 1, "b": 3, "c": 4}}}
    assert audit.changes(before, after) == {
        "order": [1, 2],
        "configuration.bot.json.b": [2, 3],
        "configuration.bot.json.c": [None, 4],
        "configuration.old.json": [{}, None],
    }
