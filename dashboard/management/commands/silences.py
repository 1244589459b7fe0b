"""Silences on the terminal: which stand, what one would match, making and lifting them."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from alerting import silences
from alerting.silences import Wanted
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.selectors import environment_named
from deployments.management.base import PortalCommand
from deployments.management.numbers import COUNT
from engine.alertmanager import Silence
from engine.errors import InvalidRequest


class Command(PortalCommand):
    """`silences [list | preview | make | lift] [LABEL=VALUE… | IDENTIFIER]`."""

    help = "List silences, show which alerts one would match, make one or lift one. Without a word: those that stand."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do; labels as in Alertmanager, an identifier to lift."""
        parser.add_argument("what", nargs="?", default="list", choices=("list", "preview", "make", "lift"))
        parser.add_argument("about", nargs="*", metavar="LABEL=VALUE", help="labels; lift: the silence's identifier")
        parser.add_argument("--reason", default="", help="make: why nobody need be told")
        parser.add_argument("--for", dest="minutes", type=COUNT, default=60, metavar="MINUTES", help="make: how long")

    def run(self, options: dict[str, Any]) -> int:
        """Do it; what was not made or lifted ends with a refusal."""
        match options["what"]:
            case "preview":
                self._preview(Wanted.read(options["about"]))
            case "make":
                self._make(Wanted.read(options["about"]), options)
            case "lift":
                self._lift(options["about"])
            case _:
                self._list()
        return 0

    def _list(self) -> None:
        found = silences.visible_to(self.actor(Verb.VIEW))
        if self.as_json:
            self.emit([_document(one) for one in found])
        for one in found:
            matchers = " ".join(str(each) for each in one.matchers)
            self.say(f"{one.identifier}  until {one.ends_at:%Y-%m-%d %H:%M} UTC  {one.created_by}: {one.comment}")
            self.say(f"    {matchers}")
        if not found:
            self.say("Nothing is silenced.")

    def _preview(self, wanted: Wanted) -> None:
        found = silences.preview(actor=self._silencer(wanted), wanted=wanted)
        if self.as_json:
            self.emit([{"name": one.name, "labels": dict(one.labels), "state": one.state} for one in found])
        for one in found:
            self.say(" ".join(f"{name}={value}" for name, value in one.labels.items()))
        if not found:
            self.say("Nothing that fires now matches; what begins later would be silenced.")

    def _make(self, wanted: Wanted, options: dict[str, Any]) -> None:
        lasting = timedelta(minutes=options["minutes"])
        actor = self._silencer(wanted)
        made = silences.silence(actor=actor, wanted=wanted, reason=options["reason"], lasting=lasting)
        if self.as_json:
            self.emit({"identifier": made})
        self.say(f"Silenced for {options['minutes']} minutes: {made}")

    def _lift(self, about: list[str]) -> None:
        if len(about) != 1:
            raise InvalidRequest("Which silence is to be lifted?", hint="silences lift IDENTIFIER")
        found = silences.lift(actor=self.actor(Verb.SILENCE), identifier=about[0])
        if self.as_json:
            self.emit(_document(found))
        self.say(f"Lifted: {' '.join(str(each) for each in found.matchers)}")

    def _silencer(self, wanted: Wanted) -> Actor:
        environment = environment_named(wanted.environment) if wanted.environment else None
        return self.actor(Verb.SILENCE, environment)


def _document(one: Silence) -> dict[str, Any]:
    return {
        "identifier": one.identifier,
        "matchers": [str(each) for each in one.matchers],
        "created_by": one.created_by,
        "reason": one.comment,
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
    }
