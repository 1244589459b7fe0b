"""Every migration after the first leaves the audit trail's triggers in place; so do those still to come."""

from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor

from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.models import AuditEvent, audit_triggers


def _names() -> list[str]:
    executor = MigrationExecutor(connection)
    return sorted(name for app, name in executor.loader.graph.nodes if app == "deployments")


def test_every_migration_leaves_the_triggers_in_place(transactional_db: None) -> None:
    first, *later = _names()
    call_command("migrate", "deployments", first, verbosity=0)
    assert audit_triggers.missing() == []
    for name in later:
        call_command("migrate", "deployments", name, verbosity=0)
        assert audit_triggers.missing() == [], name


def test_an_altered_column_does_not_cost_the_triggers(transactional_db: None) -> None:
    trail.record_alone(actor=system_actor("tests"), name="a.b", subject="c")
    wider = models.CharField(max_length=99)
    wider.set_attributes_from_name("name")
    with connection.schema_editor() as editor:  # what a later AlterField does
        editor.alter_field(AuditEvent, AuditEvent._meta.get_field("name"), wider)
    if connection.vendor == "sqlite":
        assert audit_triggers.missing() != [], "SQLite builds the table anew"
    call_command("migrate", verbosity=0)
    assert audit_triggers.missing() == []
    assert trail.verify() == []
