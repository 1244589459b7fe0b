"""Alerts and who has them in hand; the tables are those of the app `dashboard`, which made them."""

from alerting.models.acknowledgements import Acknowledgement
from alerting.models.alerts import Alert, AlertChannel, AlertReceipt

__all__ = ["Acknowledgement", "Alert", "AlertChannel", "AlertReceipt"]
