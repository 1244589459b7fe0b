"""Every URL of the portal."""

from django.contrib import admin
from django.urls import include, path

from portal.api import api, openapi

urlpatterns = [
    path("", include("dashboard.urls")),
    path("api/v1/openapi.json", openapi),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]
