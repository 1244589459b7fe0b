"""Walking only what is new: it finds what was done to that, and says what it has not looked at."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from deployments.audit import trail, verification
from deployments.core.actors import system_actor
from deployments.models import audit_triggers

ACTOR = system_actor("tests")
TABLE = audit_triggers.TABLE


@pytest.fixture
def verified(db: None, state_dir: Path) -> trail.Head:
    """A trail that was walked, and three events since."""
    _record(5)
    head = trail.head()
    assert verification.verify(actor=ACTOR) == []
    _record(3)
    return head


def _record(count: int) -> None:
    for number in range(count):
        with transaction.atomic():
            trail.record(actor=ACTOR, name="thing.done", subject=f"thing:{number}", data={"number": number})


def _behind_its_back(statement: str) -> None:
    with connection.cursor() as cursor:
        for name in [*audit_triggers.SQLITE, *audit_triggers.POSTGRES]:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{'' if connection.vendor == 'sqlite' else f' ON {TABLE}'}")
        cursor.execute(statement)
    audit_triggers.reinstall()


def test_what_is_new_is_walked_from_the_head_that_was_whole(verified: trail.Head) -> None:
    assert verification.verify_new() == ([], verified)
    assert verification.verify_new(known_head=trail.head()) == ([], verified)


def test_it_leaves_no_event(verified: trail.Head) -> None:
    before = trail.head()
    verification.verify_new()
    assert trail.head() == before


@pytest.mark.parametrize(
    ("tampering", "sentence"),
    [
        (lambda at: f"UPDATE {TABLE} SET actor = 'x' WHERE sequence = {at + 2}", "was altered"),
        (lambda at: f"DELETE FROM {TABLE} WHERE sequence = {at + 2}", "is missing"),
        (lambda at: f"UPDATE {TABLE} SET actor = 'x' WHERE sequence = {at}", "is not the one up to which"),
        (lambda at: f"UPDATE {TABLE} SET hash = '{'0' * 64}' WHERE sequence = {at}", "is not the one up to which"),
        (lambda at: f"DELETE FROM {TABLE} WHERE sequence >= {at}", "is missing"),
    ],
)
def test_tampering_with_what_is_new_is_found(
    verified: trail.Head, tampering: Callable[[int], str], sentence: str
) -> None:
    _behind_its_back(tampering(verified.sequence))
    problems, _ = verification.verify_new()
    assert sentence in problems[0].sentence


def test_tampering_before_the_head_is_found_by_a_whole_walk_and_by_all_walks_after_it(verified: trail.Head) -> None:
    _behind_its_back(f"UPDATE {TABLE} SET actor = 'x' WHERE sequence = 2")
    assert verification.verify_new()[0] == []  # as docs/security.md says
    assert "Event 2 (thing.done) was altered." in [each.sentence for each in verification.verify(actor=ACTOR)]
    assert verification.remembered() is None
    problems, since = verification.verify_new()
    assert (bool(problems), since) == (True, None)


def test_who_ends_the_daily_walk_gains_no_more_than_a_day(verified: trail.Head, state_dir: Path) -> None:
    _behind_its_back(f"UPDATE {TABLE} SET actor = 'x' WHERE sequence = 2")
    trail.record_alone(actor=ACTOR, name="audit.verified", subject="audit", passed=True, head=str(trail.head()))
    then = time.time() - 2 * 86400
    os.utime(state_dir / "audit-head", (then, then))
    problems, since = verification.verify_new()
    assert since is None, "a head of two days ago is none"
    assert "Event 2 (thing.done) was altered." in [each.sentence for each in problems]


def test_a_head_that_was_given_is_compared_also_when_it_is_older(verified: trail.Head) -> None:
    forged = trail.Head(3, "f" * 64)
    problems, _ = verification.verify_new(known_head=forged)
    assert [each.sequence for each in problems] == [3]


def test_what_somebody_wrote_into_the_file_is_no_head(verified: trail.Head, state_dir: Path) -> None:
    (state_dir / "audit-head").write_text("all is well")
    assert verification.verify_new()[1] is None


def test_the_command_says_what_it_has_not_looked_at(verified: trail.Head) -> None:
    said = io.StringIO()
    call_command("audit", "verify", "--new", stdout=said)
    assert f"What follows event {verified.sequence}" in said.getvalue()
    assert "earlier ones were not looked at" in said.getvalue()
