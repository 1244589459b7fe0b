"""Encrypt stored secrets with the newest key."""

from typing import Any

from deployments.environments.reencryption import encrypt_again
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`rotate_secrets`."""

    help = "Encrypt every stored secret with the newest of PORTAL_ENCRYPTION_KEYS; then the older keys can go."

    def run(self, options: dict[str, Any]) -> int:
        """Rewrite, tell how many."""
        done = encrypt_again(actor=self.actor("rotate_keys"))
        if self.as_json:
            self.emit({name: {"rewritten": rewritten, "of": total} for name, (rewritten, total) in done.items()})
        for name, (rewritten, total) in done.items():
            self.say(f"{name}: {rewritten} of {total} encrypted again")
        self.say("Everything is encrypted with the newest key; older ones can be taken out, once no backup needs them.")
        return 0
