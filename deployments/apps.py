"""App configuration of the control plane."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _warm_up(**_signal: object) -> None:
    """What a new worker would do for its first task and never again, before it takes one: a tenth of a second and more
    that somebody's way back need not wait for."""
    from deployments import tasks  # noqa: F401
    from engine.commands.agent import agent_digest

    agent_digest()


class DeploymentsConfig(AppConfig):
    """Servers, releases, deployments, approvals, access and audit."""

    name = "deployments"
    verbose_name = "Control room"

    def ready(self) -> None:
        from deployments import checks
        from deployments.access import sign_ins
        from deployments.core import clock, queueing, task_values
        from deployments.models import audit_triggers

        checks.register()
        clock.install()
        sign_ins.connect()
        task_values.disarm()
        queueing.confine(_warm_up)
        # On SQLite a later AlterField rebuilds the table and silently drops its triggers.
        post_migrate.connect(audit_triggers.reinstall, sender=self, dispatch_uid="audit-triggers")
        post_migrate.connect(queueing.ensure_schedules, sender=self, dispatch_uid="schedules")
