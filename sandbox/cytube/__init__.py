"""A server that speaks CyTube's protocol as a real one was recorded to speak it, and a client for it.

For the demo and for tests: nothing is stored, every default password is public, and faults happen on demand.
"""

from sandbox.cytube.churn import Churned, churn
from sandbox.cytube.clock import LoopClock, ManualClock
from sandbox.cytube.config import SANDBOX_PASSWORD, Account, AddressLimits, Channel, Media, ServerConfig
from sandbox.cytube.errors import JoinRefused, LoginRefused, NoAnswer, NotRunning, SandboxError, UnknownName
from sandbox.cytube.server import CytubeServer
from sandbox.cytube.viewer import Viewer

__all__ = [
    "SANDBOX_PASSWORD",
    "Account",
    "AddressLimits",
    "Channel",
    "Churned",
    "CytubeServer",
    "JoinRefused",
    "LoginRefused",
    "LoopClock",
    "ManualClock",
    "Media",
    "NoAnswer",
    "NotRunning",
    "SandboxError",
    "ServerConfig",
    "UnknownName",
    "Viewer",
    "churn",
]
