"""What the status side remembers."""

from dashboard.models.acknowledgements import Acknowledgement
from dashboard.models.alerts import Alert, AlertChannel, AlertReceipt
from dashboard.models.bots import BotState, Condition
from dashboard.models.page import StatusPage
from dashboard.models.samples import Sample

__all__ = ["Acknowledgement", "Alert", "AlertChannel", "AlertReceipt", "BotState", "Condition", "Sample", "StatusPage"]
