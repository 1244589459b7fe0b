"""A step of the first run, and where it stands among the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from deployments.access.verbs import Verb


class Place(StrEnum):
    """Where a step stands; the text is what its pill says."""

    DONE = "Done"
    NEXT = "Next"
    LATER = "Later"
    LEFT_OUT = "Optional"


@dataclass(frozen=True)
class FirstStep:
    """One step: what the records say, what it is for, and where it is done.

    `at_hand` is what a person needs for it, `minutes` about how long it takes one who has that. `link` and `label` are
    its button, `how` is the same for a terminal. `needs` says what has to be there before: there is no button then.
    `may_wait`: everything behind it works without. `who` is for a person who may not: it says who.
    """

    title: str
    verb: Verb
    done: bool
    fact: str
    why: str
    link: str = ""
    label: str = ""
    how: str = ""
    at_hand: str = ""
    minutes: int = 1
    needs: str = ""
    may_wait: bool = False
    place: Place = Place.LATER
    who: str = ""

    @property
    def offered(self) -> bool:
        """Whether its button is there."""
        return not (self.done or self.needs or self.who)


@dataclass(frozen=True)
class FirstSteps:
    """All of them, in the order in which they can be done."""

    steps: list[FirstStep]

    @property
    def done(self) -> int:
        """How many."""
        return sum(step.done for step in self.steps)

    @property
    def next(self) -> FirstStep | None:
        """The first that is open and was not passed over."""
        return next((step for step in self.steps if step.place is Place.NEXT), None)

    @property
    def number(self) -> int:
        """The place of the next one among all, from 1; 0 without one."""
        return self.steps.index(self.next) + 1 if self.next else 0

    @property
    def open(self) -> list[FirstStep]:
        """What is not done."""
        return [step for step in self.steps if not step.done]

    @property
    def enough(self) -> bool:
        """Whether all that is left may wait."""
        return all(step.may_wait for step in self.open)

    @property
    def minutes(self) -> int:
        """About how long the rest takes."""
        return sum(step.minutes for step in self.open)


def placed(steps: Sequence[FirstStep]) -> list[FirstStep]:
    """A step that may wait was passed over as soon as a later one is done."""
    last = max((number for number, step in enumerate(steps) if step.done), default=-1)
    passed = {number for number, step in enumerate(steps) if not step.done and step.may_wait and number < last}
    following = next((number for number, step in enumerate(steps) if not step.done and number not in passed), None)

    def place(number: int, step: FirstStep) -> Place:
        if step.done:
            return Place.DONE
        if number in passed:
            return Place.LEFT_OUT
        return Place.NEXT if number == following else Place.LATER

    return [replace(step, place=place(number, step)) for number, step in enumerate(steps)]
