"""Conditional writes and the few selections that several rooms share."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import timezone

from deployments.lifecycle import ACTIVE, EXECUTING, FINAL, Status, sources_of

if TYPE_CHECKING:
    from uuid import UUID

    from deployments.models import Deployment  # noqa: F401  (the type parameter of the queryset)


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Deployments; every status is written through `move`."""

    def move(
        self, pk: int, target: Status, *, source: Status | None = None, claim: "UUID | None" = None, **fields: Any
    ) -> bool:
        """Compare-and-set: set `target` where the status still allows it (and `claim` still holds it).

        A deployment that has ended is moved only by naming that status as its `source`. Returns False when the row was
        not in a status that leads to `target`, or another worker holds it.
        """
        sources = frozenset({source}) & sources_of(target) if source else sources_of(target) - FINAL
        rows = self.filter(pk=pk, status__in=sources)
        if claim is not None:
            rows = rows.filter(claim=claim)
        if target in FINAL:
            fields.setdefault("finished_at", timezone.now())
            fields.setdefault("lease_until", None)
        return rows.update(status=target, **fields) == 1

    def active(self) -> "DeploymentQuerySet":
        """Queued, running or verifying."""
        return self.filter(status__in=ACTIVE)

    def executing(self) -> "DeploymentQuerySet":
        """Claimed by a worker and not ended."""
        return self.filter(status__in=EXECUTING)
