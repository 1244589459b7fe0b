"""Real Prometheus and Alertmanager on this machine, with the product's own configuration."""

from sandbox.monitoring.stack import SHIPPED_RULES, Monitoring, missing_program

__all__ = ["SHIPPED_RULES", "Monitoring", "missing_program"]
