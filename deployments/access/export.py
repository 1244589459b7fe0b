"""The audit trail as a file that somebody else can verify."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import QuerySet

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit.trail import Head, content_of, record
from deployments.core.actors import Actor
from deployments.core.hidden_characters import visible_json
from deployments.models import AuditEvent


def export(*, actor: Actor) -> Iterator[str]:
    """JSON lines of every event, oldest first, and the head as the last line; the export itself is the last event."""
    require(actor, Verb.EXPORT_AUDIT)
    with transaction.atomic():
        last = record(actor=actor, name="audit.exported", subject="audit")
    return _lines(AuditEvent.objects.filter(sequence__lte=last.sequence).order_by("sequence"), last)


def _lines(events: QuerySet[AuditEvent], last: AuditEvent) -> Iterator[str]:
    for event in events.iterator(chunk_size=2000):
        line = content_of(event) | {"previous_hash": event.previous_hash, "hash": event.hash}
        yield visible_json(json.dumps(line, ensure_ascii=False))
    yield json.dumps({"head": str(Head(last.sequence, last.hash)), "exported_at": datetime.now(UTC).isoformat()})
