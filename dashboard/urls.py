"""URLs of the status side."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from dashboard.views import health


class ServerName(StringConverter):
    """A server's name, which is never a path."""

    regex = "[a-z][a-z0-9-]{0,30}"


register_converter(ServerName, "server")

urlpatterns = [
    path("api/health", health.bot_health, name="health"),
    path("api/health/<server:name>", health.bot_health, name="bot-health"),
]
