"""Real Prometheus and Alertmanager on this machine, with the product's own configuration."""

from sandbox.monitoring.stack import Monitoring, missing_program

__all__ = ["Monitoring", "missing_program"]
