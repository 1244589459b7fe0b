"""URLs of the status side."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter, StringConverter

from alerting import webhook
from alerting.actions import ACTIONS
from alerting.views import alert_page, bulk_actions, inbox, silences
from dashboard.views import (
    bot,
    deployments,
    documents,
    embedding,
    feeds,
    first_run,
    health,
    incidents,
    journal,
    log,
    maintenance,
    monitoring,
    monitoring_access,
    palette,
    readiness,
    statistics,
    status,
    subscriptions,
    validations,
)


class ServerName(StringConverter):
    """A server's name, which is never a path."""

    regex = "[a-z][a-z0-9-]{0,30}"


class Number(IntConverter):
    """A row's number, short enough for every database."""

    regex = "[0-9]{1,15}"


class AlertAction(StringConverter):
    """What is done about an alert."""

    regex = "|".join(ACTIONS)


register_converter(ServerName, "server")
register_converter(AlertAction, "what")
register_converter(Number, "number")

urlpatterns = [
    path("", status.status_page, name="status"),
    path("favicon.ico", status.favicon),
    path("status.json", embedding.status_json, name="status-json"),
    path("status.svg", embedding.status_badge, name="status-badge"),
    path("incidents/", incidents.incidents_page, name="incidents"),
    path("incidents/new/", incidents.open_page, name="incident-new"),
    path("incidents/<number:number>/", incidents.incident_page, name="incident"),
    path("incidents/<number:number>/update", incidents.update, name="incident-update"),
    path("incidents/subscribe/", subscriptions.subscribe_page, name="subscribe"),
    path("incidents/subscription/confirm/<str:token>/", subscriptions.confirm_page, name="subscription-confirm"),
    path("incidents/subscription/end/<str:token>/", subscriptions.end_page, name="subscription-end"),
    path("incidents.rss", feeds.Rss(), name="incidents-rss"),
    path("incidents.atom", feeds.Atom(), name="incidents-atom"),
    path("maintenance/", maintenance.maintenance_page, name="maintenance"),
    path("maintenance/<number:number>/end", maintenance.end, name="maintenance-end"),
    path("bots/<server:name>/badge.svg", embedding.bot_badge, name="bot-badge"),
    path("bots/<server:name>/", bot.bot_page, name="bot"),
    path("servers/<server:name>/journal/", journal.journal_page, name="journal"),
    path("deployments/", deployments.history_page, name="deployments"),
    path("deployments/<number:number>/", deployments.deployment_page, name="deployment"),
    path("deployments/<number:number>/log", log.log_after, name="deployment-log"),
    path("deployments/<number:number>/log.txt", log.log_text, name="deployment-log-text"),
    path("statistics/", statistics.statistics_page, name="statistics"),
    path("alerts/", inbox.inbox_page, name="alerts"),
    path("alerts/act", bulk_actions.act_on_many, name="alerts-act"),
    path("alerts/<number:number>/", alert_page.alert_page, name="alert"),
    path("alerts/<number:number>/<what:what>", alert_page.act_on_alert, name="alert-act"),
    path("silences/", silences.silences_page, name="silences"),
    path("silences/<uuid:identifier>/lift", silences.lift_silence, name="silence-lift"),
    path("api/health", health.bot_health, name="health"),
    path("api/health/<server:name>", health.bot_health, name="bot-health"),
    path("api/alerts/alertmanager", webhook.alertmanager, name="alertmanager"),
    path("api/prometheus/targets", monitoring.prometheus_targets, name="prometheus-targets"),
    path("readiness/", readiness.readiness_page, name="readiness"),
    path("validations/", validations.validations_page, name="validations"),
    path("validations/start", validations.start_validation, name="validation-start"),
    path("validations/<number:number>/", validations.validation_page, name="validation"),
    path("validations/<number:number>/stop", validations.stop_validation, name="validation-stop"),
    path("validations/<number:number>/report.md", validations.validation_report, name="validation-report"),
    path("start/", first_run.start_page, name="start"),
    path("palette", palette.palette, name="palette"),
    path("docs/", documents.documents_page, name="documents"),
    path("docs/images/<str:name>", documents.picture, name="document-picture"),
    path("docs/<path:name>/", documents.document_page, name="document"),
    path("auth/staff", monitoring_access.staff_only, name="auth-staff"),
    path("healthz", monitoring.healthz, name="healthz"),
    path("metrics", monitoring.metrics, name="metrics"),
]
