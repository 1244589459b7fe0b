"""Every URL of the portal."""

from django.contrib import admin
from django.urls import include, path

from portal.api import api, openapi
from portal.invitation import invitation_page

handler500 = "portal.failures.broken"
urlpatterns = [
    path("", include("dashboard.urls")),
    path("api/v1/openapi.json", openapi),
    path("api/v1/", api.urls),
    path("invitation/", invitation_page, name="invitation"),
    path("admin/", admin.site.urls),
]
