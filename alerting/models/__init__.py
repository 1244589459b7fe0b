"""Alerts, who has them in hand, and incidents; the tables are those of the app `dashboard`, which made them."""

from alerting.models.acknowledgements import Acknowledgement
from alerting.models.alerts import Alert, AlertChannel, AlertReceipt
from alerting.models.incidents import Incident, IncidentUpdate

__all__ = ["Acknowledgement", "Alert", "AlertChannel", "AlertReceipt", "Incident", "IncidentUpdate"]
