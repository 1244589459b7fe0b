"""What the control plane remembers."""

from deployments.models.audit import AuditEvent
from deployments.models.deployments import Approval, Deployment, LogLine, Step, Target
from deployments.models.environments import Environment, PolicyChange, Secret
from deployments.models.github import GitHubAccount, WorkflowBinding
from deployments.models.moves import Move
from deployments.models.notifications import NotificationChannel, NotificationDelivery
from deployments.models.people import ApiToken, Role, Scope, SigningKey
from deployments.models.releases import Release
from deployments.models.servers import Server

__all__ = [
    "ApiToken",
    "Approval",
    "AuditEvent",
    "Deployment",
    "Environment",
    "GitHubAccount",
    "LogLine",
    "Move",
    "NotificationChannel",
    "NotificationDelivery",
    "PolicyChange",
    "Release",
    "Role",
    "Scope",
    "Secret",
    "Server",
    "SigningKey",
    "Step",
    "Target",
    "WorkflowBinding",
]
