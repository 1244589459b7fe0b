"""What was recorded, as the API shows it: log lines and audit events."""

from datetime import datetime

from pydantic import Field

from deployments.http.documents import Document
from deployments.models import AuditEvent, LogLine


class LogLineOut(Document):
    """One line of a deployment's log."""

    number: int
    at: datetime
    server: str | None
    step: str
    stream: str
    text: str

    @classmethod
    def of(cls, row: LogLine) -> "LogLineOut":
        """The document of a record."""
        server = row.target.server.name if row.target else None
        return cls(number=row.pk, at=row.at, server=server, step=row.step, stream=row.stream, text=row.text)


class LogOut(Document):
    """Lines of a log, oldest first. Ask again with the last number as `after` until `complete`."""

    lines: list[LogLineOut]
    complete: bool


class AuditEventOut(Document):
    """One event of the audit trail."""

    sequence: int
    at: datetime
    actor: str
    name: str = Field(examples=["deployment.approved"])
    subject: str = Field(examples=["deployment:41"])
    environment: str
    data: dict[str, object]
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, row: AuditEvent) -> "AuditEventOut":
        """The document of a record."""
        return cls(
            sequence=row.sequence,
            at=row.at,
            actor=row.actor,
            name=row.name,
            subject=row.subject,
            environment=row.environment,
            data=row.data,
            previous_hash=row.previous_hash,
            hash=row.hash,
        )


class AuditPage(Document):
    """Audit events, newest first, with the chain's head."""

    items: list[AuditEventOut]
    next_before: int | None
    head: str = Field(description="Sequence and hash of the last event: keep a copy elsewhere.")
