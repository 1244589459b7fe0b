"""What Prometheus should scrape: the enrolled bots, by the port their last deployment recorded."""

from typing import TypedDict

from deployments.models import Server


class TargetGroup(TypedDict):
    """One entry of Prometheus' HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]


def _role(server: Server) -> str:
    """Of a service nobody promised metrics: no rule says that it is down because it has none."""
    return "bot" if server.service == Server.Service.BOT else "service"


def targets() -> list[TargetGroup]:
    """One group for each bot with a known port. Alerts carry these labels, and find their server by them."""
    groups: list[TargetGroup] = []
    for server in Server.objects.exclude(state=Server.State.RETIRED).select_related("environment"):
        health = server.facts.get("health") if isinstance(server.facts, dict) else None
        port = health.get("port") if isinstance(health, dict) else None
        if "bot" not in server.roles or not isinstance(port, int):
            continue
        host = f"[{server.host}]" if ":" in server.host else server.host
        labels = {"environment": str(server.environment), "server": server.name, "role": _role(server)}
        groups.append({"targets": [f"{host}:{port}"], "labels": labels})
    return groups
