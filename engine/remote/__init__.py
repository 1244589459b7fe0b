"""What the rest of the portal calls to have something done on a server; no Django here.

`AgentClient` speaks with the agent, `provision` makes a server ready, `plan` holds what is sent.
"""

from engine.remote.client import AgentClient, Result
from engine.remote.plan import BaseRelease, FileEntry, HealthCheck, RolePlan, RunPlan
from engine.remote.provisioning import provision
from engine.remote.reports import Report

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
