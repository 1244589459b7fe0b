"""What the rest of the portal calls to have something done on a server; no Django here.

`AgentClient` speaks with the agent, `provision` makes a server ready, `plan` holds what is sent.
"""

from engine.remote.client import AgentClient
from engine.remote.plan import BaseRelease, DumpPlan, FileEntry, HealthCheck, HookPlan, RolePlan, RunPlan
from engine.remote.provisioning import provision
from engine.remote.reports import Report
from engine.remote.result import Result

__all__ = [
    "AgentClient",
    "BaseRelease",
    "DumpPlan",
    "FileEntry",
    "HealthCheck",
    "HookPlan",
    "Report",
    "Result",
    "RolePlan",
    "RunPlan",
    "provision",
]
