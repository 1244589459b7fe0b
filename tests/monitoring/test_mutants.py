"""A rule that somebody changes by a little is noticed by its promtool cases."""

import hashlib
import random

import pytest

from tests.monitoring import mutants, mutation, rules

ALWAYS_TRIED = {"never, always", "for"}
SAMPLE = 30


def drawn() -> list[mutants.Mutant]:
    """The gravest changes, and some of the others; which ones depends on the rules and their cases alone."""
    content = b"".join((rules.ROOT / part / name).read_bytes() for part in ("rules", "tests") for name in rules.FILES)
    everything = mutants.every()
    others = [mutant for mutant in everything if mutant.operator not in ALWAYS_TRIED]
    some = random.Random(hashlib.sha256(content).digest()).sample(others, SAMPLE)
    return [mutant for mutant in everything if mutant.operator in ALWAYS_TRIED] + some


@pytest.mark.monitoring
def test_the_cases_notice_the_gravest_changes_and_a_sample_of_the_others() -> None:
    assert [str(mutant) for mutant in mutation.survivors(drawn())] == []


@pytest.mark.full
@pytest.mark.monitoring
def test_the_cases_notice_every_change_that_makes_a_difference() -> None:
    assert [str(mutant) for mutant in mutation.survivors(mutants.every())] == []


@pytest.mark.full
@pytest.mark.monitoring
def test_the_changes_listed_as_equivalent_make_no_difference() -> None:
    noticed = [mutant for mutant in mutants.every() if mutant.equivalent and not mutation.survives(mutant)]
    assert [str(mutant) for mutant in noticed] == []


@pytest.mark.monitoring
def test_a_rule_without_its_for_is_a_survivor_where_no_case_looks_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    (mutant,) = [one for one in mutants.every() if str(one) == "BotDown: without for"]
    assert mutation.survivors([mutant]) == []
    monkeypatch.setattr(mutation, "cases_of", lambda mutant: [])
    assert mutation.survivors([mutant]) == [mutant]


def test_every_operator_has_mutants_and_no_two_are_the_same() -> None:
    everything = mutants.every()
    assert {mutant.operator for mutant in everything} == set(mutants.OPERATORS)
    assert len({(mutant.alert, str(mutant.rule)) for mutant in everything}) == len(everything)
    originals = {rule["alert"]: rule for rule in rules.rules()}
    assert all(mutant.rule != originals[mutant.alert] for mutant in everything)


def test_what_is_listed_as_equivalent_is_a_mutant_of_today() -> None:
    assert set(mutants.EQUIVALENT) <= {(mutant.alert, mutant.change) for mutant in mutants.every()}


def test_the_documented_table_is_that_of_todays_rules() -> None:
    assert mutation.written() == mutation.table([]), "run: python -m tests.monitoring.mutation --write"
