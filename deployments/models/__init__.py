"""What the control plane remembers."""

from deployments.models.applications import Application
from deployments.models.audit import AuditEvent
from deployments.models.clusters import ClusterBeat
from deployments.models.counts import RequestCount
from deployments.models.deployments import Approval, Deployment, LogLine, Step, Target
from deployments.models.environments import Environment, PolicyChange, Secret
from deployments.models.github import GitHubAccount, WorkflowBinding
from deployments.models.idempotency import IdempotencyKey
from deployments.models.maintenance import Maintenance
from deployments.models.moves import Move
from deployments.models.notifications import NotificationChannel, NotificationDelivery, Subscriber
from deployments.models.operations import BootstrapKey, Operation
from deployments.models.people import ApiToken, Role, Scope, SigningKey
from deployments.models.portal_keys import PortalKeys
from deployments.models.releases import Release
from deployments.models.servers import Server
from deployments.models.sign_in import AuthenticatorApp, Invitation, RecoveryCode, SingleSignOn
from deployments.models.sources import Push, PushSource

__all__ = [
    "ApiToken",
    "Application",
    "Approval",
    "AuditEvent",
    "AuthenticatorApp",
    "BootstrapKey",
    "ClusterBeat",
    "Deployment",
    "Environment",
    "GitHubAccount",
    "IdempotencyKey",
    "Invitation",
    "LogLine",
    "Maintenance",
    "Move",
    "NotificationChannel",
    "NotificationDelivery",
    "Operation",
    "PolicyChange",
    "PortalKeys",
    "Push",
    "PushSource",
    "RecoveryCode",
    "Release",
    "RequestCount",
    "Role",
    "Scope",
    "Secret",
    "Server",
    "SigningKey",
    "SingleSignOn",
    "Step",
    "Subscriber",
    "Target",
    "WorkflowBinding",
]
