"""What the status side remembers. Alerts have a room of their own (`alerting`), their tables carry this app's name."""

from alerting import models as alerting_models
from dashboard.models.bots import BotState, Condition, condition_at
from dashboard.models.page import StatusPage
from dashboard.models.samples import Sample
from dashboard.models.validations import Reading, Validation

__all__ = ["BotState", "Condition", "Reading", "Sample", "StatusPage", "Validation", "alerting_models", "condition_at"]
