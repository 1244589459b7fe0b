"""Check the signatures of approvals."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.policy import require
from deployments.management.base import PortalCommand
from deployments.requests.signatures import findings


class Command(PortalCommand):
    """`approvals verify`."""

    help = (
        "Check every signature of an approval against the seal it was given for and the confirmed keys of its person."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("what", choices=("verify",))

    def run(self, options: dict[str, Any]) -> int:
        """0 when every signature is good, 1 when one is not; unsigned approvals are counted, and no fault."""
        require(self.actor("read_audit"), "read_audit")
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
            return 1 if bad else 0
        for row, problem in bad:
            self.stderr.write(f"Deployment {row.deployment_id}, approved by {row.actor}: {problem}")
        self.say(
            f"{len(signed) - len(bad)} of {len(signed)} signatures are good; "
            f"{len(rows) - len(signed)} approvals have no signature."
        )
        return 1 if bad else 0
