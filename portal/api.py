"""The one typed API, which mounts the router of each app."""

from django.conf import settings
from ninja import NinjaAPI

from dashboard.api import router as dashboard_router
from deployments.api import problems

api = NinjaAPI(
    title="CyTube Ops Portal",
    version=settings.VERSION,
    description="Deployments, approvals and status of CyTube bots. Every failure is a problem document (RFC 9457).",
    urls_namespace="api",
)
problems.install(api)
api.add_router("", dashboard_router)
