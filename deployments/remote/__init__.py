"""What the rest of the portal calls to have something done on a server; no Django here.

`AgentClient` speaks with the agent, `provision` makes a server ready, `plan` holds what is sent.
"""

from deployments.remote.client import AgentClient, Result
from deployments.remote.plan import BaseRelease, FileEntry, HealthCheck, RolePlan, RunPlan
from deployments.remote.provisioning import Report, provision

__all__ = [
    "AgentClient",
    "BaseRelease",
    "FileEntry",
    "HealthCheck",
    "Report",
    "Result",
    "RolePlan",
    "RunPlan",
    "provision",
]
