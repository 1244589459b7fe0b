"""Check the signatures of approvals, and say which keys and servers this machine holds to by itself."""

import getpass
from argparse import ArgumentParser
from typing import Any

from deployments.access.policy import require
from deployments.access.signatures import findings
from deployments.access.verbs import Verb
from deployments.core.actors import shell_actor
from deployments.management.base import PortalCommand
from deployments.people.trusted_keys import anchor_servers, distrust_key, trust_key
from engine.errors import InvalidRequest


class Command(PortalCommand):
    """`approvals verify | trust | distrust | anchor`."""

    help = "Check every signature of an approval, or say which keys and servers this machine holds to by itself."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("what", choices=("verify", "trust", "distrust", "anchor"))
        parser.add_argument(
            "--fingerprint", metavar="SHA256:…", help="trust, distrust: of the key, as its owner reads it"
        )

    def run(self, options: dict[str, Any]) -> int:
        """0 when done, or when every signature is good; 1 when one is not."""
        if options["what"] == "verify":
            return self.verify()
        actor = shell_actor(getpass.getuser())  # whoever may write this machine's files decides, no role does
        if options["what"] == "anchor":
            numbers = anchor_servers(actor=actor)
            told = "; ".join(f"{name}: {number or 'no'} signed approvals" for name, number in numbers.items())
            return self.told({"signed_approvals": numbers}, f"{told}. Every other server: 1.")
        if not options["fingerprint"]:
            raise InvalidRequest("Which key?", hint="Give the fingerprint that its owner reads to you (--fingerprint).")
        verb = trust_key if options["what"] == "trust" else distrust_key
        key = verb(actor=actor, fingerprint=options["fingerprint"])
        counts = "counts" if options["what"] == "trust" else "does not count any more"
        said = f"The key {key.fingerprint} of {key.person} {counts} on this machine."
        return self.told({"person": key.person, "fingerprint": key.fingerprint}, said)

    def told(self, document: dict[str, Any], sentence: str) -> int:
        """Either way of saying it."""
        if self.as_json:
            self.emit(document)
        self.say(sentence)
        return 0

    def verify(self) -> int:
        """Unsigned approvals are counted, and no fault."""
        require(self.actor(Verb.READ_AUDIT), Verb.READ_AUDIT)
        rows = list(findings())
        signed = [(row, problem) for row, problem in rows if row.signature]
        bad = [(row, problem) for row, problem in signed if problem]
        if self.as_json:
            self.emit(
                {
                    "signed": len(signed),
                    "unsigned": len(rows) - len(signed),
                    "problems": [
                        {"deployment": row.deployment_id, "actor": row.actor, "sentence": problem}
                        for row, problem in bad
                    ],
                }
            )
        for row, problem in bad:
            self.stderr.write(f"Deployment {row.deployment_id}, approved by {row.actor}: {problem}")
        self.say(
            f"{len(signed) - len(bad)} of {len(signed)} signatures are good; "
            f"{len(rows) - len(signed)} approvals have no signature."
        )
        return 1 if bad else 0
