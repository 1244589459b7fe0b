"""Deployments of the past, filtered, a page at a time."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q

from deployments.core.selectors import environments_called
from deployments.core.texts import whole_number
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment

PAGE = 50
_SHOWN = {"id", "name", "application", "retired_at", "shared_name"}
_UNUSED = [f"environment__{field.name}" for field in Environment._meta.concrete_fields if field.name not in _SHOWN]
"""What no list says of an environment."""
SEARCHED = 5000
"""Deployments among which a text is looked for, the newest: it can only be found by reading them."""


@dataclass(frozen=True)
class Filter:
    """What to show; empty means all. `before` is the number below which a page begins."""

    environment: str = ""
    status: str = ""
    kind: str = ""
    text: str = ""
    before: int | None = None

    @classmethod
    def parse(cls, query: Any) -> "Filter":
        """From a query string; what is not valid is left out."""
        return cls(
            environment=query.get("environment", "")[:63],
            status=query.get("status", "") if query.get("status", "") in Status.values else "",
            kind=query.get("kind", "") if query.get("kind", "") in Kind.values else "",
            text=query.get("q", "").replace("\x00", "").strip()[:100],
            before=whole_number(query.get("before", "")),
        )


@dataclass(frozen=True)
class Page:
    """Some deployments, newest first, and where the next page begins."""

    rows: list[Deployment]
    next_before: int | None


def page(wanted: Filter, size: int = PAGE) -> Page:
    """One page. One query, which walks the primary key and never counts the table."""
    rows = list(_filtered(wanted).with_taken_back().order_by("-id")[: size + 1])
    return Page(rows[:size], rows[size - 1].pk if len(rows) > size else None)


def recent(size: int) -> list[Deployment]:
    """The latest deployments of all environments."""
    return list(_filtered(Filter()).with_taken_back().order_by("-id")[:size])


def _filtered(wanted: Filter) -> Any:
    rows = Deployment.objects.select_related("environment", "release").defer(
        "snapshot", "release__change_log", *_UNUSED
    )
    if wanted.environment:
        rows = rows.filter(environment__in=environments_called(wanted.environment))
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.text:
        last = rows.order_by().aggregate(last=Max("pk"))["last"] or 0
        rows = rows.filter(pk__gt=last - SEARCHED).filter(
            Q(release__identifier__icontains=wanted.text)
            | Q(requested_by__icontains=wanted.text)
            | Q(reason__icontains=wanted.text)
        )
    if wanted.before:
        rows = rows.filter(pk__lt=wanted.before)
    return rows
