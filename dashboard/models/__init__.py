"""What the status side remembers. Alerts have a room of their own (`alerting`), their tables carry this app's name."""

from alerting import models as alerting_models
from dashboard.models.bots import BotState, Condition
from dashboard.models.page import StatusPage
from dashboard.models.samples import Sample

__all__ = ["BotState", "Condition", "Sample", "StatusPage", "alerting_models"]
