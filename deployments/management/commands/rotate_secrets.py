"""Encrypt stored secrets with the newest key."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.environments.reencryption import adopt_keys, encrypt_again
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`rotate_secrets`."""

    help = "Encrypt every stored secret with the newest of PORTAL_ENCRYPTION_KEYS; then the older keys can go."

    def arguments(self, parser: ArgumentParser) -> None:
        """For keys that are lost, or were replaced on purpose."""
        parser.add_argument(
            "--adopt", action="store_true", help="make this process's keys the portal's, encrypt nothing"
        )

    def takes_any_keys(self, options: dict[str, Any]) -> bool:
        """To make them the portal's."""
        return bool(options["adopt"])

    def run(self, options: dict[str, Any]) -> int:
        """Rewrite, tell how many."""
        if options["adopt"]:
            return self._adopt()
        done = encrypt_again(actor=self.actor(Verb.ROTATE_KEYS))
        if self.as_json:
            self.emit({name: {"rewritten": rewritten, "of": total} for name, (rewritten, total) in done.items()})
        for name, (rewritten, total) in done.items():
            self.say(f"{name}: {rewritten} of {total} encrypted again")
        self.say("Everything is encrypted with the newest key; older ones can be taken out, once no backup needs them.")
        return 0

    def _adopt(self) -> int:
        lost = adopt_keys(actor=self.actor(Verb.ROTATE_KEYS))
        if self.as_json:
            self.emit({"undecryptable": lost})
        self.say("The keys of this process are the portal's from now on; one with others does not start.")
        for name, count in lost.items():
            self.say(f"{name}: {count} cannot be decrypted any more and have to be set anew.")
        return 0
