"""URLs of the status side."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter, StringConverter

from alerting import webhook
from alerting.views import inbox, silences
from dashboard.views import bot, deployments, health, log, operations, readiness, staff, status


class ServerName(StringConverter):
    """A server's name, which is never a path."""

    regex = "[a-z][a-z0-9-]{0,30}"


class Number(IntConverter):
    """A row's number, short enough for every database."""

    regex = "[0-9]{1,15}"


register_converter(ServerName, "server")
register_converter(Number, "number")

urlpatterns = [
    path("", status.status_page, name="status"),
    path("favicon.ico", status.favicon),
    path("bots/<server:name>/", bot.bot_page, name="bot"),
    path("deployments/", deployments.history_page, name="deployments"),
    path("deployments/<number:number>/", deployments.deployment_page, name="deployment"),
    path("deployments/<number:number>/log", log.log_after, name="deployment-log"),
    path("deployments/<number:number>/log.txt", log.log_text, name="deployment-log-text"),
    path("alerts/", inbox.inbox_page, name="alerts"),
    path("alerts/<number:number>/", inbox.alert_page, name="alert"),
    path("alerts/<number:number>/acknowledge", inbox.acknowledge_alert, name="alert-acknowledge"),
    path("alerts/<number:number>/withdraw", inbox.withdraw_acknowledgement, name="alert-withdraw"),
    path("silences/", silences.silences_page, name="silences"),
    path("silences/<uuid:identifier>/lift", silences.lift_silence, name="silence-lift"),
    path("api/health", health.bot_health, name="health"),
    path("api/health/<server:name>", health.bot_health, name="bot-health"),
    path("api/alerts/alertmanager", webhook.alertmanager, name="alertmanager"),
    path("api/prometheus/targets", operations.prometheus_targets, name="prometheus-targets"),
    path("readiness/", readiness.readiness_page, name="readiness"),
    path("auth/staff", staff.staff_only, name="auth-staff"),
    path("healthz", operations.healthz, name="healthz"),
    path("metrics", operations.metrics, name="metrics"),
]
