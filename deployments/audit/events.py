"""Every event of the audit trail: its name, its title for people, and the tone in which lists show it.

A test holds that nothing is recorded under a name that is not here. docs/audit-events.md is this table:
`python -m deployments.audit.events` prints it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """`tone` is `rollback`, `bad`, `wary`, `good` or `plain`."""

    name: str
    title: str
    tone: str = "plain"


_ALL = (
    Event("deployment.requested", "Deployment requested"),
    Event("deployment.break_glass", "Deployment requested with break-glass", "bad"),
    Event("deployment.reviewed", "Use of break-glass reviewed"),
    Event("deployment.approved", "Deployment approved", "good"),
    Event("deployment.rejected", "Deployment rejected", "wary"),
    Event("deployment.expired", "Request expired"),
    Event("deployment.superseded", "Request superseded"),
    Event("deployment.withdrawn", "Request withdrawn: nobody stands behind it", "wary"),
    Event("deployment.voided", "Request ended: a sealed input changed", "wary"),
    Event("deployment.started", "Deployment started"),
    Event("deployment.cancel_requested", "Cancellation requested"),
    Event("deployment.succeeded", "Deployment succeeded", "good"),
    Event("deployment.failed", "Deployment failed", "bad"),
    Event("deployment.rolled_back", "Deployment failed and rolled back"),
    Event("deployment.interrupted", "Deployment interrupted", "bad"),
    Event("deployment.cancelled", "Deployment cancelled"),
    Event("deployment.crashed", "Unit crashed after a deployment"),
    Event("deployment.imported", "Deployment imported from a server"),
    Event("rollback.requested", "Rollback requested", "rollback"),
    Event("rollback.queued", "Rollback queued", "rollback"),
    Event("rollback.superseded", "Rollback superseded", "rollback"),
    Event("rollback.withdrawn", "Rollback withdrawn: nobody stands behind it", "rollback"),
    Event("rollback.voided", "Rollback ended: a sealed input changed", "rollback"),
    Event("rollback.succeeded", "Rollback succeeded", "rollback"),
    Event("rollback.failed", "Rollback failed", "bad"),
    Event("rollback.rolled_back", "Rollback failed and reverted", "rollback"),
    Event("rollback.interrupted", "Rollback interrupted", "bad"),
    Event("rollback.cancelled", "Rollback cancelled", "rollback"),
    Event("rollback.crashed", "Unit crashed after a rollback", "rollback"),
    Event("rollback.imported", "Rollback imported from a server", "rollback"),
    Event("release.added", "Release added"),
    Event("release.tagged", "Tag of a release noted"),
    Event("storage.pruned", "Deleted what nothing needs"),
    Event("environment.made", "Environment made"),
    Event("environment.renamed", "Environment renamed"),
    Event("environment.retired", "Environment retired"),
    Event("environment.deleted", "Environment deleted"),
    Event("environment.configured", "Environment configured"),
    Event("environment.locked", "Environment locked"),
    Event("environment.unlocked", "Environment unlocked"),
    Event("environment.lock_ended", "Lock of an environment ended by itself"),
    Event("environment.policy_change_requested", "Looser policy asked for"),
    Event("environment.policy_change_refused", "Looser policy refused"),
    Event("environment.policy_change_withdrawn", "Looser policy not asked for any more"),
    Event("environment.policy_tightened", "Policy tightened"),
    Event("environment.policy_loosened", "Policy loosened", "wary"),
    Event("environment.policy_loosened_alone", "Policy loosened by one person", "bad"),
    Event("server.enrolled", "Server enrolled"),
    Event("server.changed", "Server enrolled again"),
    Event("server.host_key_confirmed", "Another host key confirmed", "wary"),
    Event("server.provisioned", "Server provisioned"),
    Event("server.adopted", "Server adopted"),
    Event("server.decommissioned", "Server decommissioned", "wary"),
    Event("server.retired", "Server retired"),
    Event("server.drifted", "Server differs from its record"),
    Event("server.as_recorded", "Server is as recorded"),
    Event("server.drift_accepted", "Drift accepted", "wary"),
    Event("service.restart_requested", "Restart requested"),
    Event("service.restart_succeeded", "Units restarted"),
    Event("service.restart_failed", "Restart failed"),
    Event("service.restart_lost", "Outcome of a restart not known"),
    Event("service.stop_requested", "Stop requested"),
    Event("service.stop_succeeded", "Units stopped"),
    Event("service.stop_failed", "Stop failed"),
    Event("service.stop_lost", "Outcome of a stop not known"),
    Event("service.start_requested", "Start requested"),
    Event("service.start_succeeded", "Units started"),
    Event("service.start_failed", "Start failed"),
    Event("service.start_lost", "Outcome of a start not known"),
    Event("service.restore_requested", "Restoring of data requested", "wary"),
    Event("service.restore_succeeded", "Data restored from a backup", "wary"),
    Event("service.restore_failed", "Restoring of data failed", "bad"),
    Event("service.restore_lost", "Outcome of restoring data not known", "bad"),
    Event("service.restore_rehearsed", "Backup tried in a scratch directory"),
    Event("service.run_requested", "Command requested", "wary"),
    Event("service.run_succeeded", "Command run"),
    Event("service.run_failed", "Command failed"),
    Event("service.run_lost", "Outcome of a command not known", "wary"),
    Event("service.provision_requested", "Provisioning requested"),
    Event("service.provision_succeeded", "Provisioning ended well"),
    Event("service.provision_failed", "Provisioning failed", "bad"),
    Event("service.provision_lost", "Outcome of a provisioning not known", "bad"),
    Event("service.journal_read", "Journal of units read"),
    Event("secret.set", "Secret set"),
    Event("secret.tried", "Secret tried"),
    Event("secret.delivered", "Secret delivered to a server"),
    Event("keys.adopted", "Other keys made the portal's on purpose", "bad"),
    Event("secrets.encrypted_again", "Secrets encrypted with the newest key"),
    Event("key.made", "SSH key made"),
    Event("key.let_in", "SSH key let in on a server"),
    Event("key.rotated", "SSH key rotated", "wary"),
    Event("key.retired", "SSH key retired"),
    Event("key.taken_out", "SSH key taken out of a server"),
    Event("key.handed_out", "SSH key handed to GitHub"),
    Event("token.issued", "Token issued"),
    Event("token.revoked", "Token revoked"),
    Event("source.made", "Push source made"),
    Event("source.ended", "Push source ended"),
    Event("workflow.bound", "Workflow bound"),
    Event("workflow.unbound", "Workflow unbound"),
    Event("person.added", "Person added"),
    Event("person.changed", "Person's roles or address changed"),
    Event("person.invited", "Person invited"),
    Event("person.invitation_accepted", "Invitation accepted"),
    Event("person.password_set", "Password set"),
    Event("person.password_changed", "Password changed"),
    Event("person.recovered", "Account recovered"),
    Event("person.vouched_for", "Recovery vouched for"),
    Event("person.app_added", "Authenticator app added"),
    Event("person.app_removed", "Authenticator app removed"),
    Event("person.recovery_codes_made", "Recovery codes made"),
    Event("person.key_added", "Signing key added"),
    Event("person.key_confirmed", "Signing key confirmed"),
    Event("person.key_revoked", "Signing key revoked"),
    Event("person.key_trusted", "Signing key trusted on a machine"),
    Event("person.key_distrusted", "Signing key trusted no longer"),
    Event("person.github_linked", "GitHub account linked"),
    Event("person.github_unlinked", "GitHub account unlinked"),
    Event("person.signed_in", "Signed in"),
    Event("person.signed_out", "Signed out"),
    Event("person.sign_in_failed", "Sign-in failed"),
    Event("person.locked_out", "Locked out after failed sign-ins", "bad"),
    Event("person.let_in", "Lock-out ended"),
    Event("person.session_ended", "Session ended"),
    Event("alert.acknowledged", "Alert acknowledged"),
    Event("alert.acknowledgement_withdrawn", "Acknowledgement withdrawn"),
    Event("alert.acknowledgement_ran_out", "Acknowledgement ran out"),
    Event("alert.snoozed", "Alert snoozed"),
    Event("alert.woken", "Snooze ended by hand"),
    Event("alert.snooze_ended", "Snooze ran out"),
    Event("alert.assigned", "Alert assigned"),
    Event("silence.made", "Silence made"),
    Event("silence.lifted", "Silence lifted"),
    Event("channel.added", "Notification channel added"),
    Event("channel.changed", "Notification channel changed"),
    Event("channel.deleted", "Notification channel deleted"),
    Event("channel.tested", "Notification channel tested"),
    Event("notification.sent_again", "Notification sent again"),
    Event("monitoring.silent", "Monitoring silent"),
    Event("monitoring.heard", "Monitoring heard again"),
    Event("drill.rollback", "Rollback drill"),
    Event("drill.alerts", "Alert drill"),
    Event("drill.restore", "Restore drill"),
    Event("validation.started", "Validation started"),
    Event("validation.ended", "Validation ended"),
    Event("backup.made", "Backup made"),
    Event("backup.restored", "Backup restored"),
    Event("audit.verified", "Audit trail verified"),
    Event("audit.exported", "Audit trail exported"),
    Event("status_page.configured", "Status page configured"),
    Event("portal.servers_anchored", "Servers anchored on a machine"),
    Event("portal.move_began", "Move of the portal began"),
    Event("portal.move_failed", "Move of the portal failed", "bad"),
    Event("portal.moved", "Portal moved", "wary"),
    Event("portal.arrived", "Portal arrived", "wary"),
)
EVENTS = {event.name: event for event in _ALL}


def event(name: str) -> Event:
    """The entry of a name; of one that an older portal recorded and that is no more, the name in words."""
    kind, _, what = name.partition(".")
    words = f"{kind.capitalize()}: {what}".replace("_", " ")
    return EVENTS.get(name) or Event(name, words)


def table() -> str:
    """docs/audit-events.md."""
    lines = [f"| `{each.name}` | {each.title} | {each.tone} |" for each in _ALL]
    return "\n".join(["| name | title | tone |", "|---|---|---|", *lines]) + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
